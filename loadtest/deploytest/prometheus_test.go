package deploytest

import (
	"path/filepath"
	"testing"
)

func TestPrometheusAsksEveryService(t *testing.T) {
	t.Parallel()
	job := read(t, filepath.Join(deploy, "prometheus", "scrape.yaml"))[0].at("scrape_configs").list()[0]
	sd := job.at("dns_sd_configs").list()[0]
	everybody(t, sd.at("names").texts())
	if sd.at("port").number() != 9090 || job.at("honor_labels").value != true {
		t.Errorf("it asks port %d; our label stays: %v", sd.at("port").number(), job.at("honor_labels").value)
	}
}

func TestPrometheusFindsPodsByWhatTheyAreCalled(t *testing.T) {
	t.Parallel()
	job := read(t, filepath.Join(deploy, "prometheus", "kubernetes.yaml"))[0].at("scrape_configs").list()[0]
	if got := job.at("kubernetes_sd_configs").list()[0].at("namespaces", "names").texts(); len(got) != 1 || got[0] != "filigree" {
		t.Errorf("it looks in %s", got)
	}
	if got := job.at("relabel_configs").list()[0].at("regex").text(); got != "filigree;admin" {
		t.Errorf("it keeps %q", got)
	}
	for name, d := range manifests(t).ours() {
		pod := d.at("spec", "template")
		if pod.at("metadata", "labels", "app.kubernetes.io/part-of").text() != "filigree" || !hasPort(pod, "admin") {
			t.Errorf("it does not find %s", name)
		}
	}
}
