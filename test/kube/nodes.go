package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// addNodes makes the nodes that KWOK plays.
func addNodes(ctx context.Context, client *http.Client, url string, count int) error {
	for index := range count {
		name := fmt.Sprintf("node-%d", index)
		node, err := json.Marshal(map[string]any{
			"apiVersion": "v1",
			"kind":       "Node",
			"metadata":   map[string]any{"name": name, "labels": map[string]string{"kubernetes.io/os": "linux"}},
		})
		if err != nil {
			return err
		}
		// KWOK's rights and the node's are there only a moment after the API is.
		err = poll(ctx, "making "+name, func() bool {
			response, err := client.Post(url+"/api/v1/nodes", "application/json", bytes.NewReader(node))
			if err != nil {
				return false
			}
			_ = response.Body.Close()
			return response.StatusCode == http.StatusCreated || response.StatusCode == http.StatusConflict
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// nodesReady waits until each node says so.
func nodesReady(ctx context.Context, client *http.Client, url string, count int) error {
	return poll(ctx, "the nodes", func() bool {
		response, err := client.Get(url + "/api/v1/nodes")
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		var list struct {
			Items []struct {
				Status struct {
					Conditions []struct{ Type, Status string }
				}
			}
		}
		if json.NewDecoder(response.Body).Decode(&list) != nil {
			return false
		}
		isReady := 0
		for _, item := range list.Items {
			for _, condition := range item.Status.Conditions {
				if condition.Type == "Ready" && condition.Status == "True" {
					isReady++
				}
			}
		}
		return isReady == count
	})
}
