// Package telemetry makes the logger that every other package is given, and the traces of calls. It holds no
// global state; nothing is logged by any other way. What is written holds no secrets and
// nothing that could forge a line; [Clean] does the same for text that is written down
// elsewhere.
package telemetry
