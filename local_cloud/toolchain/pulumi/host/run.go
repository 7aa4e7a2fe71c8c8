package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
)

// alreadyReported is the exit code of a program that has shown its error to the user.
const alreadyReported = 32

// Run runs a Pulumi program to its end. What it prints goes to this process's streams, which the engine shows.
func (host *languageHost) Run(ctx context.Context, request *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	command, err := host.program(ctx, request)
	if err != nil {
		return nil, err
	}
	ctx, stop := host.untilCancelled(ctx)
	defer stop()
	err = runTied(ctx, command)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return &pulumirpc.RunResponse{}, nil
	case host.running.Err() != nil:
		return &pulumirpc.RunResponse{Bail: true}, nil
	case errors.As(err, &exit) && exit.ExitCode() == alreadyReported:
		return &pulumirpc.RunResponse{Bail: true}, nil
	case errors.As(err, &exit):
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("the Python program ended with %v", exit)}, nil
	}
	return nil, fmt.Errorf("running %s: %w", command.Path, err)
}

func (host *languageHost) program(ctx context.Context, request *pulumirpc.RunRequest) (*exec.Cmd, error) {
	interpreter, err := python(request.Info)
	if err != nil {
		return nil, err
	}
	if err := interpreter.ValidateVenv(ctx); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command, err := interpreter.Command(ctx, programArguments(filepath.Dir(self), request)...)
	if err != nil {
		return nil, err
	}
	configuration, err := configurationEnvironment(request)
	if err != nil {
		return nil, err
	}
	command.Dir = request.Pwd
	command.Env = append(environment(command), configuration...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	return command, nil
}

// programArguments is the command line of the SDK's script that lies beside this host.
func programArguments(folder string, request *pulumirpc.RunRequest) []string {
	arguments := []string{"-u", filepath.Join(folder, "pulumi-language-python-exec")}
	named := []struct{ name, value string }{
		{"--monitor", request.MonitorAddress}, {"--engine", engineAddress()},
		{"--project", request.Project}, {"--stack", request.Stack}, {"--organization", request.Organization},
		{"--root_directory", request.Info.RootDirectory}, {"--pwd", request.Pwd},
		{"--parallel", strconv.Itoa(int(request.Parallel))},
	}
	for _, argument := range named {
		if argument.value != "" {
			arguments = append(arguments, argument.name, argument.value)
		}
	}
	if request.DryRun {
		arguments = append(arguments, "--dry_run", "true")
	}
	arguments = append(arguments, request.Info.EntryPoint)
	return append(arguments, request.Args...)
}

// engineAddress is the one positional argument, which comes last.
func engineAddress() string { return os.Args[len(os.Args)-1] }

func configurationEnvironment(request *pulumirpc.RunRequest) ([]string, error) {
	config, secretKeys := request.Config, request.ConfigSecretKeys
	if config == nil {
		config = map[string]string{}
	}
	if secretKeys == nil {
		secretKeys = []string{}
	}
	configJSON, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	secretKeysJSON, err := json.Marshal(secretKeys)
	if err != nil {
		return nil, err
	}
	return []string{
		"PULUMI_CONFIG=" + string(configJSON), "PULUMI_CONFIG_SECRET_KEYS=" + string(secretKeysJSON),
	}, nil
}

// environment is what the toolchain has set for the virtual environment, or else this process's own.
func environment(command *exec.Cmd) []string {
	if command.Env != nil {
		return command.Env
	}
	return os.Environ()
}

// RunPlugin runs a plugin or a policy pack written in Python and streams what it prints, then its exit code.
func (host *languageHost) RunPlugin(
	request *pulumirpc.RunPluginRequest, stream pulumirpc.LanguageRuntime_RunPluginServer,
) error {
	ctx, stop := host.untilCancelled(stream.Context())
	defer stop()
	command, err := plugin(ctx, request)
	if err != nil {
		return err
	}
	var sending sync.Mutex
	send := func(message *pulumirpc.RunPluginResponse) error {
		sending.Lock()
		defer sending.Unlock()
		return stream.Send(message)
	}
	command.Stdout = sender(func(chunk []byte) error {
		return send(&pulumirpc.RunPluginResponse{Output: &pulumirpc.RunPluginResponse_Stdout{Stdout: chunk}})
	})
	command.Stderr = sender(func(chunk []byte) error {
		return send(&pulumirpc.RunPluginResponse{Output: &pulumirpc.RunPluginResponse_Stderr{Stderr: chunk}})
	})
	err = runTied(ctx, command)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("running %s: %w", command.Path, err)
	}
	code := int32(command.ProcessState.ExitCode())
	return send(&pulumirpc.RunPluginResponse{Output: &pulumirpc.RunPluginResponse_Exitcode{Exitcode: code}})
}

// plugin is `python FOLDER ARGS` where the folder has a __main__.py; otherwise the SDK's runner of packages.
func plugin(ctx context.Context, request *pulumirpc.RunPluginRequest) (*exec.Cmd, error) {
	interpreter, err := pluginPython(request.Info)
	if err != nil {
		return nil, err
	}
	arguments := append([]string{"-u", request.Info.ProgramDirectory}, request.Args...)
	if _, err := os.Stat(filepath.Join(request.Info.RootDirectory, "__main__.py")); errors.Is(err, os.ErrNotExist) {
		project, err := toolchain.LoadPyproject(request.Info.RootDirectory)
		if err != nil {
			return nil, fmt.Errorf("%s has neither __main__.py nor pyproject.toml: %w", request.Info.RootDirectory, err)
		}
		arguments = append([]string{"-u", "-m", "pulumi.run.plugin", project.Project.Name}, request.Args...)
	}
	command, err := interpreter.Command(ctx, arguments...)
	if err != nil {
		return nil, err
	}
	command.Dir = request.Pwd
	command.Env = append(append([]string{}, request.Env...), virtualEnvironment(command)...)
	return command, nil
}

// virtualEnvironment is what makes the toolchain's environment win over the engine's.
func virtualEnvironment(command *exec.Cmd) []string {
	var won []string
	for _, name := range []string{"PATH", "VIRTUAL_ENV"} {
		for _, entry := range command.Env {
			if len(entry) > len(name) && entry[:len(name)+1] == name+"=" {
				won = append(won, entry)
			}
		}
	}
	return won
}

// untilCancelled is a context that also ends when the engine cancels everything.
func (host *languageHost) untilCancelled(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	detach := context.AfterFunc(host.running, cancel)
	return ctx, func() { detach(); cancel() }
}

type sender func([]byte) error

func (send sender) Write(chunk []byte) (int, error) {
	if err := send(chunk); err != nil {
		return 0, err
	}
	return len(chunk), nil
}
