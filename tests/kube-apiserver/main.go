// Kubernetes' own API server, for the tests. Nothing is added to it: the module only makes it buildable with `go build`
// from the module proxy. tests/src/kubernetes/artifacts.rs builds it and explains the flags.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}
