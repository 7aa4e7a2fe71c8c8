package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// endWithEngine ends this process and its process group when the engine is gone. The engine holds the other end of
// standard input and writes nothing there, so its end is the engine's end, even by SIGKILL.
func endWithEngine() {
	input, err := os.Stdin.Stat()
	if err != nil || input.Mode()&os.ModeNamedPipe == 0 {
		return // started by hand
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		if syscall.Getpgrp() == os.Getpid() {
			_ = syscall.Kill(0, syscall.SIGKILL)
		}
		os.Exit(1)
	}()
}

// runTied runs the command to its end or the context's. The kernel kills it when this process dies; that is tied to
// the thread that started it, so the thread is kept.
func runTied(ctx context.Context, command *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return err
	}
	stopKilling := context.AfterFunc(ctx, func() { _ = command.Process.Kill() })
	defer stopKilling()
	return command.Wait()
}
