// Package metrics counts what the gateway does and shows it to Prometheus. Calls are recorded into atomics that are found
// by their labels in a map nobody locks; everything that some part of the gateway knows anyway is asked for when somebody looks.
//
// It decides nothing, and knows no part of the gateway: package gateway names the parts to it, and the middleware of
// package policy tells it of calls. All series are in one table, [Definitions], with the names and labels that the
// OpenTelemetry conventions for MCP give them, translated as OpenTelemetry's exporter for Prometheus does it.
package metrics
