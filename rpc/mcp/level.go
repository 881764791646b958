package mcp

import "slices"

// levels of log messages, the most talkative first (RFC 5424 §6.2.1; MCP 2025-11-25,
// Logging).
var levels = []string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}

// Severity returns the rank of a log level, from 1 for "debug" to 8 for "emergency";
// 0 if there is no such level.
func Severity(level string) int { return slices.Index(levels, level) + 1 }
