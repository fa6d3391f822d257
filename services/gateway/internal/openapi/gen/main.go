// Gen writes the gateway's OpenAPI 3 document: gen filigree.swagger.json openapi.json
package main

import (
	"log"
	"os"

	"github.com/filigreehq/filigree/services/gateway/internal/openapi"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: gen filigree.swagger.json openapi.json")
	}
	swagger, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	doc, err := openapi.Convert(swagger)
	if err != nil {
		log.Fatal(err)
	}
	err = os.WriteFile(os.Args[2], doc, 0o644)
	if err != nil {
		log.Fatal(err)
	}
}
