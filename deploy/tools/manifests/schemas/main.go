// Command schemas writes JSON schemas of the kinds that deploy/k8s uses, made from Kubernetes' own Go types: which fields
// there are, of what type, which must be there, and what may stand in an enumeration. Other fields are refused.
//
//	schemas DIR
package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// kinds by package below k8s.io/api. A file's name is what kubeconform makes of kind and version.
var kinds = map[string][]string{
	"core/v1":        {"Namespace", "ConfigMap", "Secret", "Service", "PersistentVolumeClaim", "ServiceAccount"},
	"apps/v1":        {"Deployment", "StatefulSet"},
	"autoscaling/v2": {"HorizontalPodAutoscaler"},
	"networking/v1":  {"Ingress", "NetworkPolicy"},
	"policy/v1":      {"PodDisruptionBudget"},
}

// groups that are not called as their package.
var groups = map[string]string{"core": "", "networking": "networking.k8s.io"}

type schema = map[string]any

// special are types that write themselves.
var special = map[string]schema{
	"k8s.io/apimachinery/pkg/util/intstr.IntOrString": {"type": []string{"string", "integer"}},
	"k8s.io/apimachinery/pkg/api/resource.Quantity":   {"type": []string{"string", "number"}},
	"k8s.io/apimachinery/pkg/apis/meta/v1.Time":       {"type": "string"},
	"k8s.io/apimachinery/pkg/apis/meta/v1.MicroTime":  {"type": "string"},
	"k8s.io/apimachinery/pkg/apis/meta/v1.FieldsV1":   {"type": "object"},
	"k8s.io/apimachinery/pkg/runtime.RawExtension":    {"type": "object"},
	"k8s.io/apimachinery/pkg/types.UID":               {"type": "string"},
	"k8s.io/apimachinery/pkg/types.NodeName":          {"type": "string"},
	"k8s.io/apimachinery/pkg/types.NamespacedName":    {"type": "object"},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: schemas DIR")
		os.Exit(2)
	}
	err := write(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	err := os.MkdirAll(dir, 0o755)
	if err != nil {
		return err
	}
	r := reader{packages: map[string]*source{}}
	for path, names := range kinds {
		group, version, _ := strings.Cut(path, "/")
		full, differs := groups[group]
		if !differs {
			full = group
		}
		apiVersion, suffix := full+"/"+version, "-"+group+"-"+version
		if full == "" {
			apiVersion, suffix = version, "-"+version
		}
		for _, name := range names {
			r.definitions = schema{}
			ref, err := r.named("k8s.io/api/"+path, name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			root := schema{
				"$ref": ref["$ref"], "definitions": r.definitions, "required": []string{"apiVersion", "kind", "metadata"},
				"properties": schema{"apiVersion": schema{"const": apiVersion}, "kind": schema{"const": name}},
			}
			data, err := json.Marshal(root)
			if err != nil {
				return err
			}
			err = os.WriteFile(filepath.Join(dir, strings.ToLower(name)+suffix+".json"), data, 0o644)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// A source is a package as parsed.
type source struct {
	types   map[string]*ast.TypeSpec
	file    map[string]*ast.File // where a type is
	enums   map[string]bool
	strings map[string][]string // constants, by type
}

type reader struct {
	packages    map[string]*source
	definitions schema
}

// load parses the package at path.
func (r *reader) load(path string) (*source, error) {
	if r.packages[path] != nil {
		return r.packages[path], nil
	}
	dir, err := folder(path)
	if err != nil {
		return nil, err
	}
	s := &source{types: map[string]*ast.TypeSpec{}, file: map[string]*ast.File{}, enums: map[string]bool{}, strings: map[string][]string{}}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || strings.Contains(filepath.Base(name), "generated") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if ok {
				s.add(file, gen)
			}
		}
	}
	if len(s.types) == 0 {
		return nil, fmt.Errorf("%s declares no type", path)
	}
	r.packages[path] = s
	return s, nil
}

func (s *source) add(file *ast.File, gen *ast.GenDecl) {
	for _, spec := range gen.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			s.types[spec.Name.Name], s.file[spec.Name.Name] = spec, file
			s.enums[spec.Name.Name] = marked(gen.Doc, "+enum") || marked(spec.Doc, "+enum")
		case *ast.ValueSpec:
			of, ok := spec.Type.(*ast.Ident)
			if !ok || gen.Tok != token.CONST {
				continue
			}
			for _, value := range spec.Values {
				literal, ok := value.(*ast.BasicLit)
				if !ok || literal.Kind != token.STRING {
					continue
				}
				text, err := strconv.Unquote(literal.Value)
				if err == nil {
					s.strings[of.Name] = append(s.strings[of.Name], text)
				}
			}
		}
	}
}

func marked(doc *ast.CommentGroup, marker string) bool {
	return doc != nil && slices.ContainsFunc(strings.Split(doc.Text(), "\n"), func(line string) bool { return strings.TrimSpace(line) == marker })
}

// folder is where the package at path lies in the module cache, into which it is brought if need be.
func folder(path string) (string, error) {
	out, err := exec.Command("go", "list", "-find", "-f", "{{.Dir}}", path).Output()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", path, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// named refers to a type's definition, making it if need be.
func (r *reader) named(path, name string) (schema, error) {
	known := special[path+"."+name]
	if known != nil {
		return known, nil
	}
	key := strings.ReplaceAll(strings.TrimPrefix(path, "k8s.io/"), "/", ".") + "." + name
	ref := schema{"$ref": "#/definitions/" + key}
	if r.definitions[key] != nil {
		return ref, nil
	}
	pkg, err := r.load(path)
	if err != nil {
		return nil, err
	}
	spec := pkg.types[name]
	if spec == nil {
		return nil, fmt.Errorf("%s has no type %s", path, name)
	}
	r.definitions[key] = schema{} // it may lead back to itself
	made, err := r.of(path, pkg.file[name], spec.Type)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if pkg.enums[name] && len(pkg.strings[name]) > 0 {
		made = schema{"type": "string", "enum": pkg.strings[name]}
	}
	r.definitions[key] = made
	return ref, nil
}

// of is the schema of an expression of package path.
func (r *reader) of(path string, file *ast.File, e ast.Expr) (schema, error) {
	switch e := e.(type) {
	case *ast.Ident:
		switch e.Name {
		case "string":
			return schema{"type": "string"}, nil
		case "bool":
			return schema{"type": "boolean"}, nil
		case "int", "int32", "int64", "uint32", "uint64":
			return schema{"type": "integer"}, nil
		case "float64":
			return schema{"type": "number"}, nil
		}
		return r.named(path, e.Name)
	case *ast.SelectorExpr:
		from, ok := e.X.(*ast.Ident)
		if !ok {
			return nil, fmt.Errorf("%T cannot be read", e.X)
		}
		imported, err := imported(file, from.Name)
		if err != nil {
			return nil, err
		}
		return r.named(imported, e.Sel.Name)
	case *ast.StarExpr:
		return r.of(path, file, e.X)
	case *ast.ArrayType:
		if of, ok := e.Elt.(*ast.Ident); ok && of.Name == "byte" {
			return schema{"type": "string"}, nil
		}
		items, err := r.of(path, file, e.Elt)
		return schema{"type": "array", "items": items}, err
	case *ast.MapType:
		values, err := r.of(path, file, e.Value)
		return schema{"type": "object", "additionalProperties": values}, err
	case *ast.StructType:
		s := schema{"type": "object", "additionalProperties": false}
		properties, required := schema{}, []string{}
		err := r.fields(path, file, e, properties, &required)
		s["properties"] = properties
		if len(required) > 0 {
			s["required"] = required
		}
		return s, err
	}
	return nil, fmt.Errorf("%T cannot be read", e)
}

func imported(file *ast.File, alias string) (string, error) {
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return "", err
		}
		if spec.Name != nil && spec.Name.Name == alias || spec.Name == nil && filepath.Base(path) == alias {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is imported from nowhere", alias)
}

// fields adds what a struct has, and what the structs in it that have no name of their own have.
func (r *reader) fields(path string, file *ast.File, e *ast.StructType, properties schema, required *[]string) error {
	for _, field := range e.Fields.List {
		tag, ok := "", field.Tag != nil
		if ok {
			tag, ok = reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Lookup("json")
		}
		name, options, _ := strings.Cut(tag, ",")
		if !ok || name == "-" {
			continue
		}
		if name == "" {
			err := r.embedded(path, file, field.Type, properties, required)
			if err != nil {
				return err
			}
			continue
		}
		s, err := r.of(path, file, field.Type)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		properties[name] = s
		if marked(field.Doc, "+required") || !marked(field.Doc, "+optional") && !strings.Contains(options, "omitempty") {
			*required = append(*required, name)
		}
	}
	return nil
}

func (r *reader) embedded(path string, file *ast.File, e ast.Expr, properties schema, required *[]string) error {
	name := ""
	switch e := e.(type) {
	case *ast.Ident:
		name = e.Name
	case *ast.SelectorExpr:
		from, ok := e.X.(*ast.Ident)
		if !ok {
			return fmt.Errorf("%T cannot be read", e.X)
		}
		var err error
		path, err = imported(file, from.Name)
		if err != nil {
			return err
		}
		name = e.Sel.Name
	default:
		return fmt.Errorf("%T is embedded", e)
	}
	pkg, err := r.load(path)
	if err != nil {
		return err
	}
	spec := pkg.types[name]
	if spec == nil {
		return fmt.Errorf("%s has no type %s", path, name)
	}
	s, ok := spec.Type.(*ast.StructType)
	if !ok {
		return fmt.Errorf("%s is no struct", name)
	}
	return r.fields(path, pkg.file[name], s, properties, required)
}
