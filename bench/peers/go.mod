module cattery.dev/bench-peers

go 1.24

require github.com/hashicorp/yamux v0.1.2

require github.com/coder/websocket v1.8.15
