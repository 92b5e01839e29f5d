// Command forecast streams a CSV file through an exported model that learns as it goes, and prints the quantiles after
// every value.
//
//	forecast MODEL_FOLDER VALUES.csv [STREAM]
//
// MODEL_FOLDER "-" is the model inside the library this was linked to. STREAM is a file where the stream is kept: it goes
// on from there if the file exists, and is saved there in the end.
package main

import (
	"bufio"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"usp.example/forecast/usp"
)

// numbers of a line of CSV; an error if it holds anything else.
func numbers(line string) ([]float64, error) {
	var out []float64
	for _, field := range strings.Split(line, ",") {
		value, err := strconv.ParseFloat(strings.TrimSpace(field), 64)
		if err != nil {
			return nil, err
		}
		out = append(out, value)
	}
	return out, nil
}

// open makes a new stream, or the one that was kept in a file.
func open(model *usp.Model, kept string) (*usp.Stream, error) {
	if _, err := os.Stat(kept); kept != "" && err == nil {
		return model.LoadStream(kept)
	}
	return model.NewStream()
}

func run(folder, path, kept string) error {
	if folder == "-" {
		folder = ""
	}
	model, err := usp.Load(folder)
	if err != nil {
		return err
	}
	defer model.Close()
	stream, err := open(model, kept)
	if err != nil {
		return err
	}
	defer stream.Close()
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()

	var times []float64
	out := bufio.NewWriter(os.Stdout)
	lines := bufio.NewScanner(file)
	for row := 1; lines.Scan(); row++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		y, err := numbers(lines.Text())
		if err != nil && row == 1 {
			continue // the header
		}
		if err != nil {
			return fmt.Errorf("%s, line %d: %w", path, row, err)
		}
		start := time.Now()
		quantiles, err := stream.Push(y...)
		if err != nil {
			return err
		}
		times = append(times, float64(time.Since(start).Nanoseconds())*1e-3)
		for i, q := range quantiles {
			if i > 0 {
				out.WriteByte(',')
			}
			out.WriteString(strconv.FormatFloat(q, 'g', 17, 64))
		}
		out.WriteByte('\n')
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if kept != "" {
		if err := stream.Save(kept); err != nil {
			return err
		}
	}
	if len(times) > 0 {
		sort.Float64s(times)
		fmt.Fprintf(os.Stderr, "median push latency: %.1f us\n", times[len(times)/2])
	}
	return nil
}

func main() {
	if len(os.Args) != 3 && len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: forecast MODEL_FOLDER VALUES.csv [STREAM]")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], strings.Join(os.Args[3:], "")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
