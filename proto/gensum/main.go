// Gensum records which sources proto/gen was generated from, and what came out: gen/SUMS holds a SHA-256 of each
// proto, of the generator's configuration and of each generated file. The test beside it fails when either side was
// changed without the other, so drift is found without the generators at hand.
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

func main() {
	write := flag.Bool("w", false, "write gen/SUMS instead of printing it")
	flag.Parse()
	sums, err := Sums(".")
	if err != nil {
		log.Fatal(err)
	}
	if !*write {
		fmt.Print(sums)
		return
	}
	err = os.WriteFile(filepath.Join("gen", "SUMS"), []byte(sums), 0o644)
	if err != nil {
		log.Fatal(err)
	}
}

// Sums returns one line "sha256  path" for each source and each generated file below the proto module's folder.
func Sums(root string) (string, error) {
	var lines []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel == "third_party" {
				return filepath.SkipDir
			}
			return nil
		}
		source := strings.HasPrefix(rel, "filigree/") || strings.HasPrefix(rel, "buf.")
		generated := strings.HasPrefix(rel, "gen/") && rel != "gen/SUMS"
		if !source && !generated {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("%x  %s\n", sha256.Sum256(data), rel))
		return nil
	})
	sort.Slice(lines, func(i, j int) bool { return lines[i][66:] < lines[j][66:] })
	return strings.Join(lines, ""), err
}
