"""The two ways in over the network: OTLP over HTTP and over gRPC."""
