package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
)

// startBrowser starts a browser that talks to nobody but the pages it is sent to. It ends with the test.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("renderer-process-limit", "2")) // its twenty tabs are light
	alloc, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		err := chromedp.Cancel(ctx) // waits until it has let go of its folder
		if err != nil {
			t.Logf("the browser did not end well: %v", err)
		}
		cancel()
		stop()
	})
	err := chromedp.Do(ctx)
	if err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return ctx
}

// open shows the link's page in a tab. All tabs are of one browser: each session's cookie is for its own addresses, so
// they must not get into each other's way.
func (r *reader) open(t *testing.T, desk context.Context) {
	t.Helper()
	tab, leave := chromedp.NewContext(desk)
	t.Cleanup(leave)
	r.tab = tab
	screen := chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulateScale(2))
	if r.wide {
		screen = chromedp.EmulateViewport(1280, 800)
	}
	err := chromedp.Do(tab, screen) // the first call is the tab's life, so it has no limit
	if err != nil {
		t.Fatalf("a tab for %s: %v", r.email, err)
	}
	status := r.follow(t, chromedp.Navigate(r.link))
	heading := look(t, r, chromedp.Text(chromedp.CSS("h1")))
	if status != 200 || heading != r.title {
		t.Fatalf("%s: the page answers %d under %q, want 200 and %q", r.email, status, heading, r.title)
	}
	r.fits(t, "landing")
}

// enter presses the button and checks that the copies are listed, each with its picture.
func (r *reader) enter(t *testing.T) {
	t.Helper()
	status := r.follow(t, chromedp.Click(chromedp.CSS("form button.main")))
	if status != 200 {
		t.Fatalf("%s: the list answers %d", r.email, status)
	}
	names := look(t, r, chromedp.Evaluate[[]string](`[...document.querySelectorAll(".document h2")].map(e => e.innerText)`))
	if len(names) != len(r.copies) {
		t.Errorf("%s: the list has %q, want the %d copies", r.email, names, len(r.copies))
	}
	for _, name := range names {
		if r.copies[name] == "" {
			t.Errorf("%s: the list has %q, which is no copy of theirs", r.email, name)
		}
	}
	await(t, 10*time.Second, "the pictures of "+r.email, func() (bool, error) {
		widths, err := chromedp.Run(r.tab, chromedp.Evaluate[[]int](`[...document.querySelectorAll(".document img")].map(e => e.naturalWidth)`))
		return len(widths) == len(names) && !slices.Contains(widths, 0), errors.Join(err, fmt.Errorf("widths %v", widths))
	})
	r.fits(t, "list")
}

// save saves a copy as a person would, and checks that it is theirs.
func (r *reader) save(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	where := browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir}
	_, err := chromedp.Call(r.tab, browser.SetDownloadBehavior, where)
	if err != nil {
		t.Fatal(err)
	}
	row := slices.Index(look(t, r, chromedp.Evaluate[[]string](`[...document.querySelectorAll(".document h2")].map(e => e.innerText)`)), r.saves)
	button := fmt.Sprintf(".document:nth-child(%d) a[download]", row+1)
	err = r.do(chromedp.Click(chromedp.CSS(button)))
	if err != nil {
		t.Fatalf("%s: save %s: %v", r.email, r.saves, err)
	}
	var data []byte
	await(t, 10*time.Second, r.saves+" is saved by "+r.email, func() (bool, error) {
		var err error
		data, err = os.ReadFile(filepath.Join(dir, r.saves)) // empty until what was fetched under another name replaces it
		return len(data) > 0, err
	})
	sum := sha256.Sum256(data)
	if hex.EncodeToString(sum[:]) != r.copies[r.saves] || !bytes.HasPrefix(data, []byte("%PDF-")) {
		t.Errorf("%s: what was saved as %s has the digest %x, want their copy %s", r.email, r.saves, sum, r.copies[r.saves])
	}
}

// read opens a copy in the reader, sees its first page drawn, and goes back to the list.
func (r *reader) read(t *testing.T) {
	t.Helper()
	status := r.follow(t, chromedp.Click(chromedp.CSS(".document a.main")))
	if status != 200 {
		t.Fatalf("%s: the reader answers %d", r.email, status)
	}
	await(t, 20*time.Second, "a page drawn for "+r.email, func() (bool, error) {
		ink, err := chromedp.Run(r.tab, chromedp.Evaluate[int](`(() => {
			const c = document.querySelector(".page[data-loaded] canvas");
			if (!c || !c.width) return 0;
			const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
			let dark = 0;
			for (let i = 0; i < d.length; i += 4) if (d[i + 3] > 0 && d[i] + d[i + 1] + d[i + 2] < 600) dark++;
			return dark;
		})()`))
		said, _ := chromedp.Run(r.tab, chromedp.Evaluate[string](`document.getElementById("said")?.innerText ?? ""`))
		return ink > 100, errors.Join(err, fmt.Errorf("%d dark points; %q", ink, said))
	})
	total := look(t, r, chromedp.Evaluate[int](`Number(document.getElementById("total").textContent)`))
	if total < 1 {
		t.Errorf("%s: the reader says that there are %d pages", r.email, total)
	}
	r.fits(t, "reader")
	status = r.follow(t, chromedp.Click(chromedp.CSS(".bar a")))
	heading := look(t, r, chromedp.Text(chromedp.CSS("h1")))
	if status != 200 || heading != r.title {
		t.Errorf("%s: back from the reader is %d under %q, want the list", r.email, status, heading)
	}
}

// comeBack presses a button of the list that is still shown.
func (r *reader) comeBack(t *testing.T) {
	t.Helper()
	status := r.follow(t, chromedp.Click(chromedp.CSS(".document a.main")))
	heading := look(t, r, chromedp.Text(chromedp.CSS("h1")))
	if status != 410 || !strings.Contains(heading, "taken back") {
		t.Errorf("%s: the next click answers %d under %q, want 410 and that it was taken back", r.email, status, heading)
	}
	r.fits(t, "revoked")
}

// patience is how long a browser may take for one thing, on a machine that does others, too.
const patience = time.Minute

func (r *reader) do(steps ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(r.tab, patience)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}

// follow does what leads to another page, and returns that one's status.
func (r *reader) follow(t *testing.T, step chromedp.Action[chromedp.Void]) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(r.tab, patience)
	defer cancel()
	resp, err := chromedp.RunResponse(ctx, step)
	if err != nil {
		t.Fatalf("%s: the next page: %v", r.email, err)
	}
	return int(resp.Status)
}

// look asks the page something.
func look[T any](t *testing.T, r *reader, question chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(r.tab, patience)
	defer cancel()
	got, err := chromedp.Run(ctx, question)
	if err != nil {
		t.Fatalf("%s: %v", r.email, err)
	}
	return got
}

// fits checks that nothing of the page is off the screen to the right, and takes its picture.
func (r *reader) fits(t *testing.T, page string) {
	t.Helper()
	over := look(t, r, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
	if over > 0 {
		t.Errorf("%s: the page %s is %d pixels wider than the screen", r.email, page, over)
	}
	if r.shots == "" {
		return
	}
	picture := look(t, r, chromedp.FullScreenshot(100))
	name := map[bool]string{false: "phone", true: "desktop"}[r.wide] + "-" + page + ".png"
	err := os.WriteFile(filepath.Join(r.shots, name), picture, 0o600)
	if err != nil {
		t.Error(err)
	}
}
