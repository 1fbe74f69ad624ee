// Help, the tree and manual pages from one declaration.
#include "cli/describe.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using Catch::Contains;

namespace {

const Command sample = {
    .path = "data frob",
    .summary = "frob datasets",
    .category = Category::data,
    .arguments = {{.name = "REMOTE", .help = "where to"},
                  {.name = "NAME", .help = "which", .required = false, .repeated = true}},
    .options = {{.name = "--output", .value = "FILE", .help = "where it goes", .letter = 'o'}},
    .settings = {"data.jobs"},
    .examples = {{"mlp data frob origin", "all of them"}},
    .run = nullptr};

} // namespace

TEST_CASE("help shows arguments, options, settings and an example") {
  CHECK(synopsis(sample) == "mlp data frob [OPTIONS] REMOTE [NAME...]");
  const std::string help = command_help(sample);
  CHECK_THAT(help, Contains("usage: mlp data frob [OPTIONS] REMOTE [NAME...]\n\nfrob datasets\n"));
  CHECK_THAT(help, Contains("  REMOTE  where to\n"));
  CHECK_THAT(help, Contains("  -o, --output FILE  where it goes\n"));
  CHECK_THAT(help, Contains("--jobs N"));
  CHECK_THAT(help, Contains("  -h, --help"));
  CHECK_THAT(help, Contains("  mlp data frob origin\n      all of them\n"));
  CHECK_THAT(help, Contains("More: man mlp-data-frob\n"));
}

TEST_CASE("a manual page holds what the tree says and what the prose says") {
  const std::string page =
      man_page(sample, "# mlp data frob\n\n"
                       "## DESCRIPTION\nFrobs `-x` things.\n.dotted\n\nMore.\n\n"
                       "## EXAMPLES\n```\nmlp data frob 'a\\b'\n```\n\n"
                       "## EXIT STATUS\n- 0: done\n- 1: failed\n");
  CHECK_THAT(page, Contains(".SH NAME\nmlp\\-data\\-frob \\- frob datasets\n"));
  CHECK_THAT(page, Contains("\\fB\\-o\\fR, \\fB\\-\\-output\\fR \\fIFILE\\fR\nwhere it goes\n"));
  CHECK_THAT(page, Contains("\\fBMLP_JOBS\\fR\n"));
  CHECK_THAT(page, Contains("Frobs \\fB\\-x\\fR things.\n\\&.dotted\n.PP\nMore.\n"));
  CHECK_THAT(page, Contains(".nf\n.RS 4\nmlp data frob 'a\\eb'\n.RE\n.fi\n"));
  CHECK_THAT(page, Contains(".IP \\(bu 2\n0: done\n.IP \\(bu 2\n1: failed\n"));
}

TEST_CASE("prose without a needed section is refused") {
  CHECK_THROWS_WITH(man_page(sample, "## DESCRIPTION\nx\n## EXAMPLES\ny\n"),
                    "the prose of 'data frob' has no section EXIT STATUS");
}

TEST_CASE("the tree as JSON has every command, its options and its examples") {
  const Json tree = describe_tree();
  CHECK(tree.at("version") == 1);
  CHECK(tree.at("commands").size() == commands().size());
  for (const Json& command : tree.at("commands")) {
    CHECK(command.at("synopsis")
              .get<std::string>()
              .starts_with("mlp " + command.at("path").get<std::string>()));
    CHECK((command.at("hidden").get<bool>() || !command.at("examples").empty()));
  }
  CHECK_THAT(overview_help(), Contains("version") && !Contains("__"));
}
