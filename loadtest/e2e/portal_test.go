package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/filigreehq/filigree/pkg/need"
)

// onPage is for somebody on call who has a browser and a name: the first page that a search for who leads to says all of words,
// on its first screen.
func (d *drill) onPage(who string, words ...string) {
	d.t.Helper()
	need.Programs(d.t, "chromium")
	said := d.run("sign-in", "--role", "oncall", "--production", "*")
	address := regexp.MustCompile(`http\S+/sign-in#\S+`).FindString(said)
	if address == "" {
		d.t.Fatalf("sign-in says no address: %s", said)
	}
	tab, leave := chromedp.NewContext(startBrowser(d.t))
	d.t.Cleanup(leave)
	err := chromedp.Do(tab, chromedp.EmulateViewport(1440, 900)) // the first call is the tab's life, so it has no limit
	if err != nil {
		d.t.Fatal(err)
	}
	do := func(what string, steps ...chromedp.Action[chromedp.Void]) {
		d.t.Helper()
		ctx, cancel := context.WithTimeout(tab, 2*patience)
		defer cancel()
		err := chromedp.Do(ctx, steps...)
		if err != nil {
			d.t.Fatalf("%s: %v", what, err)
		}
	}
	open := func(url string) {
		d.t.Helper()
		ctx, cancel := context.WithTimeout(tab, 2*patience)
		defer cancel()
		_, err := chromedp.Run(ctx, chromedp.Navigate(url))
		if err != nil {
			d.t.Fatalf("open %s: %v", url, err)
		}
	}
	open(address)
	do("sign in", chromedp.WaitVisible(chromedp.CSS("main h1")))
	do("type into the search", chromedp.Click(chromedp.CSS(".side .button")), chromedp.SendKeys(chromedp.CSS("[cmdk-input]"), who))
	do("the first hit", chromedp.Click(chromedp.CSS(`[cmdk-item][data-value^="hit "]`)))
	// Text that stands on the first screen, without scrolling.
	const inSight = `[...document.querySelectorAll("main *")].filter(e => e.children.length === 0 || [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
		.filter(e => { const r = e.getBoundingClientRect(); return r.height > 0 && r.top < innerHeight; }).map(e => e.innerText).join(" ").replace(/\s+/g, " ")`
	await(d.t, time.Minute, fmt.Sprintf("the page that a search for %s leads to says %q", who, words), func() (bool, error) {
		ctx, cancel := context.WithTimeout(tab, patience)
		defer cancel()
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string](inSight))
		for _, word := range words {
			if !strings.Contains(text, word) {
				return false, errors.Join(err, fmt.Errorf("%q is not in: %.3000s", word, text))
			}
		}
		return err == nil, err
	})
	shots := os.Getenv("FILIGREE_SCREENSHOTS")
	if shots == "" {
		return
	}
	ctx, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(shots, d.t.Name()+".png"), picture, 0o600)
	}
	if err != nil {
		d.t.Error(err)
	}
}
