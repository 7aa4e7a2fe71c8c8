// Command pulumi-language-python runs Pulumi programs and plugins written in Python for the Pulumi engine. The Go
// module of the original host is in no module proxy; this one is made of the SDK's protocol and its Python toolchain
// package. Started under the name pulumi-resource-pulumi-python it runs the SDK's script for dynamic providers.
// Both end with the engine, however it ends. Built by local_cloud/toolchain.py.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

const dynamicProvider = "pulumi-resource-pulumi-python"

func main() {
	endWithEngine()
	var err error
	if filepath.Base(os.Args[0]) == dynamicProvider {
		err = runDynamicProvider()
	} else {
		err = serve()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, filepath.Base(os.Args[0])+":", err)
		os.Exit(1)
	}
}

// serve answers the engine until it interrupts this process. The engine reads the port from the first line.
func serve() error {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	stop := make(chan bool)
	host := newLanguageHost()
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel:  stop,
		Options: rpcutil.TracingServerInterceptorOptions(nil),
		Init: func(server *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(server, host)
			return nil
		},
	})
	if err != nil {
		return err
	}
	fmt.Println(handle.Port)
	go func() {
		<-interrupted
		host.cancel()
		close(stop)
	}()
	return <-handle.Done
}

// runDynamicProvider runs the SDK's own script, which finds the virtual environment and serves dynamic resources.
// The engine interrupts the whole process group at the end, so the script ends by itself.
func runDynamicProvider() error {
	// Noticed and left to the script; ignored, it would stay ignored in the script too.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	script := filepath.Join(filepath.Dir(self), dynamicProvider+".sh")
	command := exec.Command(script, os.Args[1:]...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if err := runTied(context.Background(), command); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			os.Exit(exit.ExitCode())
		}
		return err
	}
	return nil
}

type languageHost struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	running context.Context // ends when the engine cancels
	cancel  context.CancelFunc
}

func newLanguageHost() *languageHost {
	running, cancel := context.WithCancel(context.Background())
	return &languageHost{running: running, cancel: cancel}
}

func (host *languageHost) Handshake(
	context.Context, *pulumirpc.LanguageHandshakeRequest,
) (*pulumirpc.LanguageHandshakeResponse, error) {
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

func (host *languageHost) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: version.Version}, nil
}

// GetRequiredPackages names nothing: plugins are found when a resource asks for one.
func (host *languageHost) GetRequiredPackages(
	context.Context, *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	return &pulumirpc.GetRequiredPackagesResponse{}, nil
}

func (host *languageHost) GetRequiredPlugins(
	context.Context, *pulumirpc.GetRequiredPluginsRequest,
) (*pulumirpc.GetRequiredPluginsResponse, error) {
	return &pulumirpc.GetRequiredPluginsResponse{}, nil
}

func (host *languageHost) RuntimeOptionsPrompts(
	context.Context, *pulumirpc.RuntimeOptionsRequest,
) (*pulumirpc.RuntimeOptionsResponse, error) {
	return &pulumirpc.RuntimeOptionsResponse{}, nil
}

func (host *languageHost) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	host.cancel()
	return &emptypb.Empty{}, nil
}
