package observer

import (
	"fmt"
	"strconv"
	"time"
)

// count counts a noun: "1 step", "12 steps".
func count(n int, one, many string) string {
	return strconv.Itoa(n) + " " + either(n == 1, one, many)
}

// verb is count with a verb in it.
func verb(n int, one, many string) string { return count(n, one, many) }

func either[T any](cond bool, yes, no T) T {
	if cond {
		return yes
	}
	return no
}

// number is a number without what is not needed of it.
func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// clock is a moment as people say it: without the day when it is of the last 18 hours.
func clock(t time.Time) string {
	if time.Since(t) < 18*time.Hour {
		return t.Local().Format("15:04:05")
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// scope is what a command needs to act in a production, or in what productions share.
func scope(production string) string {
	switch production {
	case "":
		return " --studio"
	case "default":
		return ""
	}
	return " --production " + production
}

// waitFor begins a sentence about steps that wait.
func waitFor(n int32) string {
	if n == 0 {
		return "Nothing waits"
	}
	return fmt.Sprintf("%d %s", n, either(n == 1, "step waits", "steps wait"))
}
