package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// interruptible returns a context that ends with the first signal to stop, so that calls are cancelled and child processes ended. The
// second signal kills, as it does without.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// stopSignals delivers the signals to stop, for a command that tells them apart.
func stopSignals() (signals <-chan os.Signal, ignore func()) {
	c := make(chan os.Signal, 2)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	return c, func() { signal.Stop(c) }
}

// untilSignal returns a context that ends with a signal that comes before done is called, and nothing else hears of that one.
func untilSignal(ctx context.Context, signals <-chan os.Signal) (until context.Context, done func()) {
	until, cancel := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-signals:
			cancel()
		case <-until.Done():
		}
	}()
	return until, func() {
		cancel()
		<-stopped
	}
}

// killOn ends the process with the next signal: whoever asks twice does not want to wait.
func killOn(signals <-chan os.Signal, log *slog.Logger) {
	log.Warn("killed while stopping", "signal", (<-signals).String())
	os.Exit(exitUnexpected)
}
