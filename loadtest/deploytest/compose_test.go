package deploytest

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	interpolation = regexp.MustCompile(`\$\{[A-Z_]+:-([^}]*)\}`)
	stageName     = regexp.MustCompile(`(?m)^FROM \S+ AS (\S+)$`)
	variableLine  = regexp.MustCompile(`(?m)^(?:# )?([A-Z_]+)=(.*)$`)
)

// filled is text as Compose reads it where nothing is set in the environment.
func filled(text string) string { return interpolation.ReplaceAllString(text, "$1") }

// composed are the services of compose.yaml that are ours.
func composed(t *testing.T, secrets string, overlays ...string) map[string]container {
	t.Helper()
	all := map[string]container{}
	file := read(t, filepath.Join(deploy, "compose.yaml"))[0]
	for name, s := range file.at("services").fields() {
		if !s.at("build").there() {
			continue
		}
		c := container{service: s.at("build", "args", "SERVICE").text(), env: map[string]string{}}
		if c.service != name || s.at("image").text() != "filigree/"+name {
			t.Errorf("service %s of compose.yaml builds %q as %s", name, c.service, s.at("image").text())
		}
		for _, arg := range s.at("command").texts() {
			c.args = append(c.args, filled(arg))
		}
		for _, f := range s.at("env_file").list() {
			text, err := os.ReadFile(filepath.Join(secrets, strings.TrimPrefix(f.at("path").text(), "secrets/")))
			if err != nil {
				t.Errorf("%s: deploy/secrets.sh does not make %s: %v", name, f.at("path").text(), err)
			}
			for _, m := range variableLine.FindAllStringSubmatch(string(text), -1) {
				c.env[m[1]] = m[2]
			}
		}
		for name, value := range s.at("environment").fields() {
			c.env[name] = filled(value.text())
		}
		for _, overlay := range overlays {
			more := read(t, filepath.Join(deploy, overlay))[0]
			for name, value := range more.at("services", name, "environment").fields() {
				c.env[name] = value.text()
			}
		}
		all[name] = c
	}
	return all
}

func TestComposeStartsEveryServiceWithFlagsItKnows(t *testing.T) {
	t.Parallel()
	secrets := makeSecrets(t)
	for _, overlays := range [][]string{nil, {"compose.tls.yaml"}} {
		all := composed(t, secrets, overlays...)
		everybody(t, slices.Collect(maps.Keys(all)))
		for _, c := range all {
			c.check(t)
			_, tls := c.flag("tls-key")
			if tls != (overlays != nil) {
				t.Errorf("%s: TLS is %t with %s", c.service, tls, overlays)
			}
		}
	}
}

func TestComposeOverlayAddsToServicesThatExist(t *testing.T) {
	t.Parallel()
	names := slices.Collect(maps.Keys(read(t, filepath.Join(deploy, "compose.tls.yaml"))[0].at("services").fields()))
	everybody(t, names)
}

func TestComposeBuildsStagesOfTheDockerfile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(deploy, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	var stages []string
	for _, m := range stageName.FindAllStringSubmatch(string(text), -1) {
		stages = append(stages, m[1])
	}
	for name, s := range read(t, filepath.Join(deploy, "compose.yaml"))[0].at("services").fields() {
		if !s.at("build").there() {
			continue
		}
		b := s.at("build")
		target := b.at("target").text()
		if !slices.Contains(stages, target) || b.at("dockerfile").text() != "deploy/Dockerfile" || b.at("context").text() != ".." {
			t.Errorf("%s is built from %v; the stages are %s", name, b.value, stages)
		}
		tools := name == "watermark" || name == "thumbnail"
		if tools != (target == "pdf") {
			t.Errorf("%s is built as %s: qpdf and poppler are for watermark and thumbnail, and for nobody else", name, target)
		}
	}
}

// Whoever calls another shares a network with it, and what has no business with records is not on theirs.
func TestComposeNetworks(t *testing.T) {
	t.Parallel()
	file := read(t, filepath.Join(deploy, "compose.yaml"))[0]
	services := file.at("services")
	meet := func(a, b string) bool {
		return slices.ContainsFunc(services.at(a, "networks").texts(), func(n string) bool {
			return slices.Contains(services.at(b, "networks").texts(), n)
		})
	}
	var onRecords []string
	for name, c := range composed(t, makeSecrets(t)) {
		for peer := range c.peers(t) {
			if !meet(name, peer) {
				t.Errorf("%s calls %s and shares no network with it", name, peer)
			}
		}
		redis, ok := c.flag("redis")
		if ok {
			onRecords = append(onRecords, name)
			if redis != "redis://redis:6379" || !meet(name, "redis") {
				t.Errorf("%s cannot reach Redis at %s", name, redis)
			}
		}
		if ok != slices.Contains(services.at(name, "networks").texts(), "records") {
			t.Errorf("%s is on the network of Redis, or not, against its flags", name)
		}
		blob, ok := c.flag("blob")
		if ok && !strings.Contains(mounts(services.at(name)), "blobs:"+blob+" ") {
			t.Errorf("%s keeps documents at %s, where nothing is mounted: %s", name, blob, mounts(services.at(name)))
		}
		keys, ok := c.flag("keys")
		if ok != strings.Contains(mounts(services.at(name)), "secrets:"+filepath.Dir(keys)+" ") {
			t.Errorf("%s: --keys is %q and its volumes are %s", name, keys, mounts(services.at(name)))
		}
	}
	if len(onRecords) < 2 {
		t.Errorf("only %s take --redis", onRecords)
	}
	for name, n := range file.at("networks").fields() {
		if name != "outside" && !n.at("internal").there() {
			t.Errorf("network %s leads outside", name)
		}
	}
}

// mounts is "source:target " for each volume.
func mounts(service node) string {
	var b strings.Builder
	for _, v := range service.at("volumes").list() {
		b.WriteString(v.at("source").text() + ":" + v.at("target").text() + " ")
	}
	return b.String()
}

func TestComposePublishesToThisMachineOnly(t *testing.T) {
	t.Parallel()
	published := map[string]string{}
	for name, s := range read(t, filepath.Join(deploy, "compose.yaml"))[0].at("services").fields() {
		for _, port := range s.at("ports").texts() {
			host, inside, _ := strings.Cut(strings.TrimPrefix(port, "127.0.0.1:"), ":")
			if !strings.HasPrefix(port, "127.0.0.1:") || inside == "" || published[host] != "" {
				t.Errorf("%s publishes %s; %q has that port", name, port, published[host])
			}
			published[host] = name
		}
	}
	for port, name := range map[string]string{"8080": "gateway", "8081": "link"} {
		if published[port] != name {
			t.Errorf("port %s is %q's, want %s's", port, published[port], name)
		}
	}
}

// Redis answers when it is on disk and forgets nothing; the services refuse the worst, and take every second's fsync.
func TestRedisKeepsWhatItAnswered(t *testing.T) {
	t.Parallel()
	for name, command := range map[string][]string{
		"compose.yaml": read(t, filepath.Join(deploy, "compose.yaml"))[0].at("services", "redis", "command").texts(),
		"redis.yaml":   manifests(t)["StatefulSet"]["redis"].at("spec", "template", "spec", "containers").named("redis").at("command").texts(),
	} {
		for _, want := range []string{"--appendonly yes", "--appendfsync always", "--maxmemory-policy noeviction"} {
			if !strings.Contains(strings.Join(command, " "), want) {
				t.Errorf("%s starts %s, without %s", name, command, want)
			}
		}
	}
}
