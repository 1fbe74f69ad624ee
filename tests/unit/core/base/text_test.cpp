// Units, suggestions, and what of a text may reach a terminal.
#include "core/base/text.hpp"

#include <catch2/catch.hpp>

using namespace mlp;

TEST_CASE("sizes are shown in binary units and never as 1024 of one") {
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(1023) == "1023 B");
  CHECK(format_bytes(1536) == "1.5 KiB");
  CHECK(format_bytes(1048575) == "1.0 MiB");
  CHECK(format_bytes(UINT64_MAX) == "16.0 EiB");
}

TEST_CASE("counts have separators of thousands") {
  CHECK(format_count(999) == "999");
  CHECK(format_count(60000) == "60,000");
  CHECK(format_count(1234567) == "1,234,567");
}

TEST_CASE("a slip finds the name that was meant, and a different word finds none") {
  const std::vector<std::string> names = {"digits", "adult", "fashion-mnist"};
  CHECK(nearest_name("digit", names) == "digits");
  CHECK(nearest_name("adutl", names) == "adult"); // neighbours swapped
  CHECK(nearest_name("fashion_mnist", names) == "fashion-mnist");
  CHECK_FALSE(nearest_name("housing", names));
  CHECK_FALSE(nearest_name("", names));
  CHECK_FALSE(nearest_name(std::string(100000, 'd'), names)); // and takes no time over it
}

TEST_CASE("a hint lists what is known when nothing is near") {
  const std::vector<std::string> names = {"digits", "adult"};
  CHECK(suggestion_hint("digit", names, "datasets") == "did you mean 'digits'?");
  CHECK(suggestion_hint("housing", names, "datasets") == "known datasets: digits, adult");
  CHECK(suggestion_hint("housing", {}, "datasets").empty());
  CHECK(suggestion_hint("x", std::vector<std::string>(20, "longname"), "runs").ends_with(", ..."));
}

TEST_CASE("a name cannot be a path, an option or a hidden file") {
  CHECK(is_valid_name("fashion-mnist.v2_1"));
  for (const char* bad : {"", "-x", ".x", "a/b", "a..b", "a b", "a\n", "é"})
    CHECK_FALSE(is_valid_name(bad));
  CHECK_FALSE(is_valid_name(std::string(129, 'a')));
}

TEST_CASE("a quoted word is one word to the shell") {
  CHECK(shell_quote("train.py") == "train.py");
  CHECK(shell_quote("") == "''");
  CHECK(shell_quote("it's $HOME") == "'it'\\''s $HOME'");
}

TEST_CASE("nothing from outside can drive the terminal") {
  CHECK(printable("plain 漢字 é") == "plain 漢字 é");
  CHECK(printable("\x1b[31mred\a\n") == "\\x1b[31mred\\x07\\x0a");
  CHECK(printable("\xc2\x9b"
                  "31m") == "\\xc2\\x9b31m");                    // the one-character CSI
  CHECK(printable("a\xff\xc0\xaf") == "a\\xff\\xc0\\xaf");       // not UTF-8
  CHECK(printable("user\u202etxt.exe") == "user\\u202etxt.exe"); // reversed by a terminal
  CHECK(printable_lines("a\tb\nc\r") == "a\tb\nc\\x0d");
}

TEST_CASE("UTF-8 is checked as RFC 3629 has it") {
  CHECK(is_valid_utf8("a é 漢 😀"));
  CHECK_FALSE(is_valid_utf8("\xc0\x80"));         // overlong
  CHECK_FALSE(is_valid_utf8("\xe0\x80\x80"));     // overlong
  CHECK_FALSE(is_valid_utf8("\xed\xa0\x80"));     // a surrogate
  CHECK_FALSE(is_valid_utf8("\xf4\x90\x80\x80")); // above U+10FFFF
  CHECK_FALSE(is_valid_utf8("\xe6\xbc"));         // cut off
}

TEST_CASE("width counts columns, and a cut goes through no character") {
  CHECK(display_width("abc") == 3);
  CHECK(display_width("é") == 1);
  CHECK(display_width("e\u0301") == 1);
  CHECK(display_width("漢字") == 4);
  CHECK(display_width("😀") == 2);
  CHECK(fit_width("漢字", 3) == "漢");
  CHECK(fit_width("abc", 5) == "abc");
  CHECK(fit_width("e\u0301x", 1) == "e\u0301");
  CHECK(fit_width("abc", 0).empty());
}

TEST_CASE("a line of output is shown as it looked, and can do nothing to a terminal") {
  CHECK(shown_line("\x1b[32mstep\x1b[0m 1") == "step 1");
  CHECK(shown_line("\x1b]0;title\a\x1b]8;;http://x\x1b\\link") == "link");
  CHECK(shown_line(" 10 %\r 20 %\r 30 %\r") == " 30 %");
  CHECK(shown_line("a\tb\t\tc") == "a       b               c");
  CHECK(shown_line("漢\t|") == "漢      |");
  CHECK(shown_line("\x1b[") == "\\x1b[");
  CHECK(shown_line("\x1b]0;never ended") == "\\x1b]0;never ended");
  CHECK(shown_line("\x1b[1\x1b[31mx\x1b") == "\\x1b[1x\\x1b");
  CHECK(shown_line("\x1bPq\x1b\\\x1b[200~\b\a\xff") == "\\x1bPq\\x1b\\\\x08\\x07\\xff");
  const std::string many(100'000, '\t');
  CHECK(shown_line(many).size() == 800'000);
  CHECK(shown_line("").empty());
}

TEST_CASE("split, join and trim are inverse where they should be") {
  CHECK(split("a,,b", ',') == std::vector<std::string>{"a", "", "b"});
  CHECK(split("", ',') == std::vector<std::string>{""});
  CHECK(join(std::vector<std::string>{"a", "", "b"}, ",") == "a,,b");
  CHECK(trim(" \t a b \r\n") == "a b");
  CHECK(trim("  ").empty());
}
