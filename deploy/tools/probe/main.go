// Command probe asks one HTTP address and exits 0 if the answer is 200: what a container's health check runs where there
// is neither curl nor a shell.
//
//	probe http://127.0.0.1:9090/readyz
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: probe URL")
		os.Exit(2)
	}
	err := ask(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func ask(url string) error {
	client := http.Client{Timeout: 4 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	words, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10)) // only to be shown
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", answer.Status, words)
	}
	return nil
}
