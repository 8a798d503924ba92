package main

import (
	"context"
	"flag"
	"maps"
	"net/url"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	"sigs.k8s.io/kwok/pkg/config"
	kwok "sigs.k8s.io/kwok/pkg/kwok/cmd"
	"sigs.k8s.io/kwok/pkg/log"
)

// parts are the programs in this binary, each given its flags.
var parts = map[string]func(given []string) error{
	"etcd":           runEtcd,
	"kube-apiserver": func(given []string) error { return runKubernetes(apiserver.NewAPIServerCommand(), given) },
	"kube-controller-manager": func(given []string) error {
		return runKubernetes(controllermanager.NewControllerManagerCommand(), given)
	},
	"kube-scheduler": func(given []string) error { return runKubernetes(scheduler.NewSchedulerCommand(), given) },
	"kwok":           runKwok,
}

func partNames() []string { return slices.Sorted(maps.Keys(parts)) }

func runKubernetes(command *cobra.Command, given []string) error {
	command.SetArgs(given)
	return cli.RunNoErrOutput(command)
}

// runKwok does as KWOK's own main, which is no package: its log's and configuration's flags are not the command's.
func runKwok(given []string) error {
	// component-base has put a --version of its own there, which KWOK's command would meet again.
	pflag.CommandLine = pflag.NewFlagSet("kwok", pflag.ExitOnError)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	flags := pflag.NewFlagSet("global", pflag.ContinueOnError)
	flags.ParseErrorsWhitelist.UnknownFlags = true
	flags.Usage = func() {}
	ctx, _ = log.InitFlags(ctx, flags)
	// It reads os.Args.
	ctx, err := config.InitFlags(ctx, flags)
	if err != nil {
		return err
	}
	command := kwok.NewCommand(ctx)
	command.PersistentFlags().AddFlagSet(flags)
	command.SetArgs(given)
	return command.ExecuteContext(ctx)
}

func runEtcd(given []string) error {
	flags := flag.NewFlagSet("etcd", flag.ExitOnError)
	dir := flags.String("data-dir", "", "where it keeps its data")
	client := flags.String("listen-client-url", "", "where the API server finds it")
	peer := flags.String("listen-peer-url", "", "where other members would find it")
	if err := flags.Parse(given); err != nil {
		return err
	}
	clientURL, err := url.Parse(*client)
	if err != nil {
		return err
	}
	peerURL, err := url.Parse(*peer)
	if err != nil {
		return err
	}
	settings := embed.NewConfig()
	settings.Dir = *dir
	settings.LogLevel = "error"
	settings.ListenClientUrls, settings.AdvertiseClientUrls = []url.URL{*clientURL}, []url.URL{*clientURL}
	settings.ListenPeerUrls, settings.AdvertisePeerUrls = []url.URL{*peerURL}, []url.URL{*peerURL}
	settings.InitialCluster = settings.InitialClusterFromName(settings.Name)
	// Nothing here is to survive the test.
	settings.UnsafeNoFsync = true
	server, err := embed.StartEtcd(settings)
	if err != nil {
		return err
	}
	defer server.Close()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	select {
	case <-ctx.Done():
		return nil
	case err := <-server.Err():
		return err
	}
}
