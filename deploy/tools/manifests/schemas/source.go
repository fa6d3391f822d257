//go:build never

package main

// The types are read, not linked: this keeps their module among the pinned.
import (
	_ "k8s.io/api/apps/v1"
	_ "k8s.io/apimachinery/pkg/apis/meta/v1"
)
