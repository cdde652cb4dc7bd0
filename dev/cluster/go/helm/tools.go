//go:build tools

// Package tools pins helm: the command itself is built, from the versions in this go.mod.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
