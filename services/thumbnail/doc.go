// Package thumbnail is the function service "thumbnail.Render": it makes a small picture of one page, with one
// recipient's mark on it.
//
// What it guarantees:
//   - what is stored and what leaves carries the mark. The page without it is rendered once for each production, source,
//     page and width, is kept in this process's memory for as long as there is room, and goes nowhere else;
//   - the mark is the copy's: text, outlines, places, tones and opacities come from pkg/mark, and where the page lies
//     from the watermark service's Placement;
//   - PDFs are opened in a confined child process only, and the picture's size is ours to choose: no page box makes it
//     larger than the configuration allows;
//   - the same request gives the same bytes under the same key, and what was stored first stays;
//   - a source that cannot be rendered is refused for good, with a stable code. There is no stand-in picture: the step
//     is optional in a definition, and whoever shows thumbnails shows its own sign where there is none.
//
// What it does not: annotations paint over the mark in a copy and under it in a thumbnail. Sources that name fonts
// without embedding them look as this machine's fonts make them.
package thumbnail
