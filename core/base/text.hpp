// Small text tools: units for people, the nearest name for a misspelt one, quoting, valid names.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp {

// "512 B", "1.5 KiB", "20.0 MiB".
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);
// "60,000"
[[nodiscard]] std::string format_count(std::uint64_t count);

// Optimal-string-alignment distance (insertions, deletions, substitutions, swaps of neighbours).
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);
// The candidate nearest to `name`, if near enough to be a slip: at most a third of its length + 1.
[[nodiscard]] std::optional<std::string> nearest_name(std::string_view name,
                                                      std::span<const std::string> candidates);
// "did you mean 'digits'?", or else "known <plural>: a, b, c" (at most 12), or "" with no
// candidate.
[[nodiscard]] std::string suggestion_hint(std::string_view name,
                                          std::span<const std::string> candidates,
                                          std::string_view plural);

// Names of datasets, tasks, models, remotes: [A-Za-z0-9][A-Za-z0-9._-]{0,127}, without "..".
[[nodiscard]] bool is_valid_name(std::string_view name);

// One word for /bin/sh, in single quotes where needed.
[[nodiscard]] std::string shell_quote(std::string_view word);

// For text from outside that is printed to a terminal: control characters (those of terminal
// escapes among them) and bytes that are not UTF-8 as \xNN, marks that reorder text as \u202e.
[[nodiscard]] std::string printable(std::string_view text);
// The same, but newlines and tabs stay.
[[nodiscard]] std::string printable_lines(std::string_view text);

// A line of a program's output as it looked in the end: what a progress bar wrote over is gone
// (before the last carriage return), so are colours and titles (the escape sequences CSI and OSC of
// ECMA-48), tabs are blanks up to the next multiple of 8, and the rest is printable().
[[nodiscard]] std::string shown_line(std::string_view line);

// Columns on a terminal: two for East Asian wide characters and emoji, none for combining marks.
// Source: Unicode 14 EastAsianWidth.txt, general categories Mn, Me, Cf.
[[nodiscard]] std::size_t display_width(std::string_view text) noexcept;
// The longest beginning of `text` of at most `columns` columns, never a part of a character.
[[nodiscard]] std::string_view fit_width(std::string_view text, std::size_t columns) noexcept;

[[nodiscard]] bool is_valid_utf8(std::string_view text);

[[nodiscard]] std::vector<std::string> split(std::string_view text, char separator);
[[nodiscard]] std::string join(std::span<const std::string> parts, std::string_view separator);
[[nodiscard]] std::string_view trim(std::string_view text);

} // namespace mlp
