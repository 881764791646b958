// Package telemetry makes the logger that every other package is given. It holds no
// global state; nothing is logged by any other way.
package telemetry
