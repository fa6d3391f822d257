package deploytest

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var reference = regexp.MustCompile(`\$\(([A-Z_]+)\)`)

// A cluster is all manifests, by kind and name.
type cluster map[string]map[string]node

func manifests(t *testing.T) cluster {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(deploy, "k8s", "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	all := cluster{}
	for _, path := range paths {
		for _, n := range read(t, path) {
			kind, name := n.at("kind").text(), n.at("metadata", "name").text()
			if all[kind] == nil {
				all[kind] = map[string]node{}
			}
			if _, twice := all[kind][name]; twice {
				t.Errorf("%s: there are two of %s %s", path, kind, name)
			}
			if kind != "Namespace" && n.at("metadata", "namespace").text() != "filigree" {
				t.Errorf("%s: %s %s is in another namespace", path, kind, name)
			}
			all[kind][name] = n
		}
	}
	return all
}

// ours are what runs our services: the deployments, and what has a disk of its own.
func (c cluster) ours() map[string]node {
	all := maps.Clone(c["Deployment"])
	for name, n := range c["StatefulSet"] {
		if programs[name].flags != nil {
			all[name] = n
		}
	}
	return all
}

// pod is the only container of a deployment, as a service's process; variables from Secrets are "secret".
func (c cluster) pod(t *testing.T, name string) container {
	t.Helper()
	containers := c.ours()[name].at("spec", "template", "spec", "containers").list()
	if len(containers) != 1 {
		t.Fatalf("deployment %s has %d containers", name, len(containers))
	}
	p := container{service: containers[0].at("name").text(), env: map[string]string{}}
	if p.service != name || containers[0].at("image").text() != "filigree/"+name+":latest" {
		t.Errorf("deployment %s runs %s in %s", name, p.service, containers[0].at("image").text())
	}
	own := map[string]string{}
	for _, e := range containers[0].at("env").list() {
		variable, from := e.at("name").text(), e.at("valueFrom", "configMapKeyRef")
		value := e.at("value").text()
		switch {
		case from.there():
			set := c["ConfigMap"][from.at("name").text()].at("data", from.at("key").text())
			if !set.there() {
				if from.at("optional").value != true {
					t.Errorf("%s: ConfigMap %s has no %s", name, from.at("name").text(), from.at("key").text())
				}
				if _, ok := programs[name].flags[flagOf(name, variable)]; !ok && !slices.Contains(telemetry, variable) {
					t.Errorf("%s reads no variable %s", name, variable)
				}
				continue
			}
			value = set.text()
		case e.at("valueFrom", "secretKeyRef").there():
			value = "secret"
		}
		if strings.HasPrefix(variable, "FILIGREE_") || strings.HasPrefix(variable, "AWS_") || strings.HasPrefix(variable, "OTEL_") {
			p.env[variable] = value
		} else {
			own[variable] = value
		}
	}
	used := map[string]bool{}
	for _, arg := range containers[0].at("args").texts() {
		p.args = append(p.args, reference.ReplaceAllStringFunc(arg, func(ref string) string {
			variable := ref[2 : len(ref)-1]
			if _, ok := own[variable]; !ok {
				t.Errorf("%s: %s is set nowhere", name, ref)
			}
			used[variable] = true
			return own[variable]
		}))
	}
	for variable := range own {
		if !used[variable] {
			t.Errorf("%s: %s is set and not used", name, variable)
		}
	}
	return p
}

func flagOf(service, variable string) string {
	for name, env := range programs[service].flags {
		if env == variable {
			return name
		}
	}
	return ""
}

func TestKubernetesStartsEveryServiceWithFlagsItKnows(t *testing.T) {
	t.Parallel()
	all := manifests(t)
	everybody(t, slices.Collect(maps.Keys(all.ours())))
	for name := range all.ours() {
		p := all.pod(t, name)
		p.check(t)
		if _, tls := p.flag("tls-key"); !tls {
			t.Errorf("%s has no certificate", name)
		}
	}
}

// What a service calls has a name that leads to each of its pods, and both sides' policies let it through.
func TestKubernetesServicesReachEachOther(t *testing.T) {
	t.Parallel()
	all := manifests(t)
	for name := range all.ours() {
		p := all.pod(t, name)
		peers := p.peers(t)
		wanted := map[string]int{}
		for peer := range peers {
			wanted[peer] = 7000
		}
		if redis, ok := p.flag("redis"); ok {
			if redis != "redis://redis:6379" {
				t.Errorf("%s looks for Redis at %s", name, redis)
			}
			wanted["redis"] = 6379
		}
		for peer, port := range wanted {
			s := all["Service"][peer].at("spec")
			if s.at("clusterIP").text() != "None" {
				t.Errorf("%s is called by name and is not headless", peer)
			}
			if !slices.ContainsFunc(s.at("ports").list(), func(n node) bool { return n.at("port").number() == port }) {
				t.Errorf("service %s has no port %d", peer, port)
			}
			if !allows(all["NetworkPolicy"][peer].at("spec", "ingress"), "from", name, port) {
				t.Errorf("%s calls %s:%d, whose policy does not let it in", name, peer, port)
			}
		}
		for _, other := range append(slices.Collect(maps.Keys(programs)), "redis") {
			port, ok := wanted[other]
			if !ok {
				port = 7000
			}
			if allows(all["NetworkPolicy"][name].at("spec", "egress"), "to", other, port) != ok {
				t.Errorf("%s: its policy about %s:%d is not what its flags say", name, other, port)
			}
		}
	}
	everybody(t, slices.DeleteFunc(slices.Collect(maps.Keys(all["NetworkPolicy"])), func(n string) bool { return n == "redis" || n == "default" }))
}

// allows reports whether one of rules is for pods of app on port.
func allows(rules node, side, app string, port int) bool {
	return slices.ContainsFunc(rules.list(), func(rule node) bool {
		return slices.ContainsFunc(rule.at(side).list(), func(peer node) bool {
			return peer.at("podSelector", "matchLabels", "app.kubernetes.io/name").text() == app && !peer.at("namespaceSelector").there()
		}) && slices.ContainsFunc(rule.at("ports").list(), func(n node) bool { return n.at("port").number() == port })
	})
}

func TestKubernetesNamesLeadSomewhere(t *testing.T) {
	t.Parallel()
	all := manifests(t)
	pods := map[string]node{} // templates, by what runs in them
	for _, kind := range []string{"Deployment", "StatefulSet"} {
		for name, n := range all[kind] {
			pods[name] = n.at("spec", "template")
			if got, want := labels(n.at("spec", "selector", "matchLabels")), labels(n.at("spec", "template", "metadata", "labels")); got != want {
				t.Errorf("%s %s selects %s and makes %s", kind, name, got, want)
			}
		}
	}
	// selected is the pod that a selector is for.
	selected := func(selector node) node {
		for _, pod := range pods {
			if labels(pod.at("metadata", "labels")) == labels(selector) {
				return pod
			}
		}
		return node{}
	}
	for name, s := range all["Service"] {
		pod := selected(s.at("spec", "selector"))
		for _, port := range s.at("spec", "ports").list() {
			if !hasPort(pod, port.at("targetPort").text()) {
				t.Errorf("service %s leads to port %q, which its pods do not have", name, port.at("targetPort").text())
			}
		}
	}
	for name, ingress := range all["Ingress"] {
		for _, rule := range ingress.at("spec", "rules").list() {
			for _, path := range rule.at("http", "paths").list() {
				s := all["Service"][path.at("backend", "service", "name").text()]
				if !s.at("spec", "ports").named(path.at("backend", "service", "port", "name").text()).there() {
					t.Errorf("ingress %s leads to %v, which is nowhere", name, path.at("backend").value)
				}
			}
		}
	}
	for name, policy := range all["NetworkPolicy"] {
		selector := policy.at("spec", "podSelector", "matchLabels")
		if name != "default" && (!selected(selector).there() || selector.at("app.kubernetes.io/name").text() != name) {
			t.Errorf("network policy %s is for no pod, or for another's", name)
		}
	}
	for name, pdb := range all["PodDisruptionBudget"] {
		selector := pdb.at("spec", "selector", "matchLabels")
		if !selected(selector).there() || selector.at("app.kubernetes.io/name").text() != name {
			t.Errorf("disruption budget %s is for no pod, or for another's", name)
		}
	}
	everybody(t, slices.Collect(maps.Keys(all["PodDisruptionBudget"])))
	for name, hpa := range all["HorizontalPodAutoscaler"] {
		target := all["Deployment"][hpa.at("spec", "scaleTargetRef", "name").text()]
		if !target.there() || target.at("spec", "replicas").there() {
			t.Errorf("autoscaler %s scales nothing, or what has a fixed number of replicas", name)
		}
	}
	for name, d := range all.ours() {
		if _, scaled := all["HorizontalPodAutoscaler"][name]; !scaled && d.at("spec", "replicas").number() < 2 {
			t.Errorf("deployment %s has fewer than two replicas: a disruption budget of one at a time would stop it", name)
		}
	}
}

func labels(n node) string {
	var all []string
	for name, value := range n.fields() {
		all = append(all, name+"="+value.text())
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

func hasPort(pod node, name string) bool {
	return slices.ContainsFunc(pod.at("spec", "containers").list(), func(c node) bool { return c.at("ports").named(name).there() })
}

func TestKubernetesPodsAreConfined(t *testing.T) {
	t.Parallel()
	all := manifests(t)
	for _, kind := range []string{"Deployment", "StatefulSet"} {
		for name, n := range all[kind] {
			pod := n.at("spec", "template", "spec")
			if pod.at("automountServiceAccountToken").value != false || pod.at("securityContext", "runAsNonRoot").value != true ||
				pod.at("securityContext", "seccompProfile", "type").text() != "RuntimeDefault" {
				t.Errorf("%s may more than it needs", name)
			}
			for _, c := range append(pod.at("containers").list(), pod.at("initContainers").list()...) {
				s := c.at("securityContext")
				if s.at("allowPrivilegeEscalation").value != false || s.at("readOnlyRootFilesystem").value != true || fmt.Sprint(s.at("capabilities", "drop").value) != "[ALL]" {
					t.Errorf("%s, container %s may more than it needs", name, c.at("name").text())
				}
				if !c.at("resources", "requests", "cpu").there() || !c.at("resources", "limits", "memory").there() {
					t.Errorf("%s, container %s says not what it needs", name, c.at("name").text())
				}
				for _, m := range c.at("volumeMounts").list() {
					if !pod.at("volumes").named(m.at("name").text()).there() && !slices.ContainsFunc(n.at("spec", "volumeClaimTemplates").list(), func(v node) bool {
						return v.at("metadata", "name").text() == m.at("name").text()
					}) {
						t.Errorf("%s mounts %s, which is no volume of it", name, m.at("name").text())
					}
				}
				for _, probe := range []string{"startupProbe", "readinessProbe", "livenessProbe"} {
					port := c.at(probe, "httpGet", "port").text()
					if port != "" && !c.at("ports").named(port).there() {
						t.Errorf("%s: %s asks port %q, which it does not have", name, probe, port)
					}
				}
			}
		}
	}
	for name := range all.ours() {
		c := all.ours()[name].at("spec", "template", "spec", "containers").list()[0]
		for probe, path := range map[string]string{"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"} {
			if c.at(probe, "httpGet", "path").text() != path {
				t.Errorf("%s: %s does not ask %s", name, probe, path)
			}
		}
		// A file that a flag names lies in a volume that is mounted.
		for _, flag := range []string{"keys", "tls-ca", "tls-cert", "tls-key", "fcm-credentials"} {
			path, ok := all.pod(t, name).flag(flag)
			if ok && !slices.ContainsFunc(c.at("volumeMounts").list(), func(m node) bool { return m.at("mountPath").text() == filepath.Dir(path) }) {
				t.Errorf("%s: --%s is %s, where nothing is mounted", name, flag, path)
			}
		}
	}
}

// Secrets are named and never written down.
func TestKubernetesHoldsNoSecret(t *testing.T) {
	t.Parallel()
	if made := manifests(t)["Secret"]; len(made) > 0 {
		t.Errorf("there are Secrets in the manifests: %s", slices.Sorted(maps.Keys(made)))
	}
}

func TestKubernetesServesRecipientsOnAnOriginOfTheirOwn(t *testing.T) {
	t.Parallel()
	all := manifests(t)
	host := func(name string) string { return all["Ingress"][name].at("spec", "rules").list()[0].at("host").text() }
	if host("gateway") == host("link") {
		t.Errorf("API and recipients share the origin %s", host("link"))
	}
	url, _ := all.pod(t, "link").flag("url")
	if url != "https://"+host("link") {
		t.Errorf("links begin with %s and are served at https://%s", url, host("link"))
	}
}
