package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
)

// python is the interpreter that the options of a Pulumi.yaml, PulumiPlugin.yaml or PulumiPolicy.yaml ask for.
func python(info *pulumirpc.ProgramInfo) (toolchain.Toolchain, error) {
	options := toolchain.PythonOptions{Root: info.RootDirectory, ProgramDir: info.ProgramDirectory}
	for key, value := range info.Options.AsMap() {
		text, isText := value.(string)
		if !isText {
			return nil, fmt.Errorf("runtime option %q must be a string", key)
		}
		switch key {
		case "virtualenv":
			options.Virtualenv = text
		case "toolchain":
			switch text {
			case "auto":
				options.Toolchain = toolchain.Auto
			case "pip":
				options.Toolchain = toolchain.Pip
			case "poetry":
				options.Toolchain = toolchain.Poetry
			case "uv":
				options.Toolchain = toolchain.Uv
			default:
				return nil, fmt.Errorf("unknown toolchain %q: choose auto, pip, poetry or uv", text)
			}
		default:
			return nil, fmt.Errorf("this Python host does not know the runtime option %q", key)
		}
	}
	return toolchain.ResolveToolchain(options)
}

// pluginPython is python, with the default that plugins run in their own folder "venv".
func pluginPython(info *pulumirpc.ProgramInfo) (toolchain.Toolchain, error) {
	if _, chosen := info.Options.AsMap()["virtualenv"]; !chosen {
		if _, err := os.Stat(filepath.Join(info.RootDirectory, "venv")); err == nil {
			options := toolchain.PythonOptions{
				Root: info.RootDirectory, ProgramDir: info.ProgramDirectory, Virtualenv: "venv", Toolchain: toolchain.Pip,
			}
			return toolchain.ResolveToolchain(options)
		}
	}
	return python(info)
}

func (host *languageHost) About(
	ctx context.Context, request *pulumirpc.AboutRequest,
) (*pulumirpc.AboutResponse, error) {
	interpreter, err := python(request.Info)
	if err != nil {
		return nil, err
	}
	about, err := interpreter.About(ctx)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.AboutResponse{
		Executable: about.PythonExecutable, Version: about.PythonVersion.String(),
		Metadata: map[string]string{"host": "kaito local_cloud"},
	}, nil
}

func (host *languageHost) GetProgramDependencies(
	ctx context.Context, request *pulumirpc.GetProgramDependenciesRequest,
) (*pulumirpc.GetProgramDependenciesResponse, error) {
	interpreter, err := python(request.Info)
	if err != nil {
		return nil, err
	}
	packages, err := interpreter.ListPackages(ctx, request.TransitiveDependencies)
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.GetProgramDependenciesResponse{}
	for _, found := range packages {
		response.Dependencies = append(
			response.Dependencies, &pulumirpc.DependencyInfo{Name: found.Name, Version: found.Version})
	}
	return response, nil
}

// InstallDependencies makes a missing virtual environment and fills it. One that is there stays as its owner made it.
func (host *languageHost) InstallDependencies(
	request *pulumirpc.InstallDependenciesRequest, stream pulumirpc.LanguageRuntime_InstallDependenciesServer,
) error {
	interpreter, err := python(request.Info)
	if err != nil {
		return err
	}
	streams, stdout, stderr, err := rpcutil.MakeInstallDependenciesStreams(stream, request.IsTerminal)
	if err != nil {
		return err
	}
	defer streams.Close()
	ctx := stream.Context()
	if folder, err := interpreter.VirtualEnvPath(ctx); err == nil && toolchain.IsVirtualEnv(folder) {
		fmt.Fprintf(stdout, "%s is there: its packages are left as they are\n", folder)
		return streams.Close()
	}
	err = interpreter.InstallDependencies(
		ctx, request.Info.ProgramDirectory, request.UseLanguageVersionTools, true, stdout, stderr)
	if err != nil {
		return err
	}
	return streams.Close()
}
