//go:build tools

// Package tools pins oras, which pulls weights that come as an artefact. Built by local_cloud/real/programs.py.
package tools

import _ "oras.land/oras/cmd/oras"
