// Dockerfiles: what each instruction becomes, whose variables hold where, and what errors say.
#include "core/base/error.hpp"
#include "core/image/dockerfile.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace mlp;
using namespace mlp::image;

namespace {

using Texts = std::vector<std::string>;

const Platform here{"linux", "amd64", ""};

Dockerfile parsed(std::string_view text, const BuildArgs& args = {}) {
  return parse_dockerfile(text, "Dockerfile", args, here);
}

// Of the last stage, each on what it is based on.
StageSteps evaluated(std::string_view text, const BuildArgs& args = {}, const Defaults& base = {}) {
  const Dockerfile file = parsed(text, args);
  std::vector<StageSteps> stages;
  for (std::size_t i = 0; i < file.stages.size(); ++i) {
    const auto& from = file.stages[i].base_stage;
    stages.push_back(evaluate_stage(file, i, from ? stages[*from].scope : StageScope{base, {}}));
  }
  return stages.back();
}

Defaults defaults(std::string_view text, const Defaults& base = {}) {
  return evaluated("FROM x\n" + std::string(text), {}, base).scope.defaults;
}
// The environment without PATH.
Texts env(std::string_view text, const BuildArgs& args = {}, const Defaults& base = {}) {
  Texts all = evaluated("FROM x\n" + std::string(text), args, base).scope.defaults.env;
  std::erase_if(all, [](const std::string& pair) { return pair.starts_with("PATH="); });
  return all;
}
template <class Action>
Action last(std::string_view text, const BuildArgs& args = {}) {
  return std::get<Action>(evaluated(text, args).steps.back().action);
}

// "message" or "message (hint)".
std::string error_of(std::string_view text, const BuildArgs& args = {}) {
  try {
    static_cast<void>(evaluated(text, args));
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    return error.hints().empty() ? error.message()
                                 : fmt::format("{} ({})", error.message(), error.hints().front());
  }
  return "none";
}

} // namespace

TEST_CASE("stages have a base, a name and instructions with their lines") {
  const Dockerfile file = parsed("# a comment\n"
                                 "FROM debian:bookworm AS Build\n"
                                 "\n"
                                 "run make\n"
                                 "FROM build\n"
                                 "  # another\n"
                                 "from scratch as last\n"
                                 "COPY --from=0 /a /b\n"
                                 "COPY --from=BUILD /a /b\n"
                                 "COPY --from=busybox:1 /a /b\n");
  REQUIRE(file.stages.size() == 3);
  CHECK(file.stages[0].base == "debian:bookworm");
  CHECK(file.stages[0].name == "build");
  REQUIRE(file.stages[0].instructions.size() == 1);
  CHECK(file.stages[0].instructions[0].keyword == "RUN");
  CHECK(file.stages[0].instructions[0].line == 4);
  CHECK(file.stages[1].base_stage == 0u);
  CHECK(file.stages[1].base.empty());
  CHECK(file.stages[2].base == "scratch");
  CHECK(earlier_stage(file, 2, "Build") == 0u);
  CHECK(earlier_stage(file, 2, "1") == 1u);
  CHECK_FALSE(earlier_stage(file, 2, "busybox:1"));
  CHECK(find_stage(file, "") == 2);
  CHECK(find_stage(file, "LAST") == 2);
  CHECK(find_stage(file, "1") == 1);
  CHECK_THROWS_WITH(find_stage(file, "lost"), "no stage 'lost' in 'Dockerfile'");
  CHECK(needed_stages(file, 2) == std::vector<std::size_t>{0, 2});
  CHECK(needed_stages(file, 1) == std::vector<std::size_t>{0, 1});
}

TEST_CASE("lines continue, with comments and blank lines between") {
  const auto step = last<RunStep>("FROM x\n"
                                  "RUN apt-get update && \\\n"
                                  "# a comment\n"
                                  "\n"
                                  "    # another \\\n"
                                  "    apt-get install \\  \n"
                                  "  curl   \n");
  CHECK(step.arguments == Texts{"/bin/sh", "-c", "apt-get update &&     apt-get install   curl"});
  // An escaped escape at the end is none, and neither is one within the line.
  CHECK(evaluated("FROM x\nRUN echo a\\\\\nRUN b\n").steps.size() == 2);
  CHECK(last<RunStep>("FROM x\nRUN a \\").arguments.back() == "a");
  CHECK(last<RunStep>("FROM x\r\nRUN a \\\r\n b\r\n").arguments.back() == "a  b");
}

TEST_CASE("directives stand before everything else") {
  const auto step = last<RunStep>("# syntax=docker/dockerfile:1\n"
                                  "# escape=`\n"
                                  "FROM x\n"
                                  "RUN dir C:\\ `\n && b\n");
  CHECK(step.arguments.back() == "dir C:\\  && b");
  // After a comment or a blank line it is a comment.
  CHECK(parsed("# hello\n# escape=`\nFROM x").escape == '\\');
  CHECK(parsed("\n# escape=`\nFROM x").escape == '\\');
  CHECK(parsed("\xEF\xBB\xBF#Escape = `\nFROM x").escape == '`');
  CHECK(error_of("# escape=x\nFROM x") ==
        "Dockerfile:1: 'x' cannot be the escape character (it is \\ or `)");
  CHECK(error_of("# escape=`\n# escape=`\nFROM x") ==
        "Dockerfile:2: the directive 'escape' is given twice");
}

TEST_CASE("variables are replaced as in Docker's documentation") {
  const std::string text = "ENV foo=/bar empty=\n";
  const auto value = [&](const std::string& word) {
    return env(text + "ENV v=" + word).back().substr(2);
  };
  CHECK(value("$foo") == "/bar");
  CHECK(value("${foo}x") == "/barx");
  CHECK(value("$foo.x-$foo") == "/bar.x-/bar");
  CHECK(value("\\$foo") == "$foo");
  CHECK(value("\\${foo}") == "${foo}");
  CHECK(value("'$foo'") == "$foo");
  CHECK(value("\"$foo\"") == "/bar");
  CHECK(value("\"\\$foo\"") == "$foo");
  CHECK(value("\"a\\b\\\"c\"") == "a\\b\"c");
  CHECK(value("a\\ b") == "a b");
  CHECK(value("a\\b") == "ab");
  CHECK(value("${none:-word}") == "word");
  CHECK(value("${empty:-word}") == "word");
  CHECK(value("${empty-word}") == "");
  CHECK(value("${none-word}") == "word");
  CHECK(value("${foo:-word}") == "/bar");
  CHECK(value("${foo:+word}") == "word");
  CHECK(value("${empty:+word}") == "");
  CHECK(value("${empty+word}") == "word");
  CHECK(value("${none:+word}") == "");
  CHECK(value("${none:-${foo}/x}") == "/bar/x");
  CHECK(value("${none:-'$foo'}") == "$foo");
  CHECK(value("${foo:?no}") == "/bar");
  CHECK(value("$none.") == ".");
  CHECK(value("a$") == "a$");
  CHECK(value("5$%") == "5$%");
  CHECK(error_of("FROM x\nENV v=${none:?must be set}") ==
        "Dockerfile:2: a '${' has no '}'"); // parted at the blank
  CHECK(error_of("FROM x\nENV v=\"${none:?must be set}\"") ==
        "Dockerfile:2: 'none' must be set (give it a value: ARG none in this stage, with "
        "--build-arg none=...)");
  CHECK(
      error_of("FROM x\nENV v=${foo%x}").starts_with("Dockerfile:2: '${foo%x}' is no replacement"));
  CHECK(error_of("FROM x\nENV v=${}") == "Dockerfile:2: '${}' names no variable");
  CHECK(error_of("FROM x\nENV v=\"a") == "Dockerfile:2: a quote is not closed: \"");
  CHECK(error_of("FROM x\nENV v='a") == "Dockerfile:2: a quote is not closed: '");
}

TEST_CASE("ENV and LABEL take pairs or one name with the rest of the line") {
  CHECK(env("ENV a=b c=\"d e\" f=g\\ h") == Texts{"a=b", "c=d e", "f=g h"});
  CHECK(env("ENV a hello  world") == Texts{"a=hello  world"});
  CHECK(env("ENV a=1\nENV b=2\nENV a=3") == Texts{"a=3", "b=2"});
  // All of a line see what was before the line.
  CHECK(env("ENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc") ==
        Texts{"abc=bye", "def=hello", "ghi=bye"});
  CHECK(defaults("LABEL \"com.example/x\"=\"a b\" y=z\nLABEL y=w").labels ==
        Annotations{{"com.example/x", "a b"}, {"y", "w"}});
  CHECK(error_of("FROM x\nENV a") == "Dockerfile:2: ENV has no value for 'a' (ENV a=VALUE)");
  CHECK(error_of("FROM x\nENV a=b c").starts_with("Dockerfile:2: 'c' has no '='"));
  CHECK(error_of("FROM x\nENV =b") == "Dockerfile:2: ENV has a name that is empty");
}

TEST_CASE("what the base sets is seen, and PATH always is") {
  Defaults base;
  base.env = {"PATH=/opt/bin", "A=1"};
  base.workdir = "/srv";
  CHECK(defaults("ENV PATH=/mine:$PATH", base).env == Texts{"PATH=/mine:/opt/bin", "A=1"});
  CHECK(defaults("WORKDIR app", base).workdir == "/srv/app");
  CHECK(defaults("CMD x").env ==
        Texts{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"});
}

TEST_CASE("ARG: its scope is the stage, and those that are based on it") {
  const BuildArgs one = {{"V", "given"}};
  CHECK(parsed("ARG V=1\nFROM a:$V").stages[0].base == "a:1");
  CHECK(parsed("ARG V=1\nFROM a:$V", one).stages[0].base == "a:given");
  CHECK(parsed("ARG V=1 W=${V}2\nFROM a:${W}").stages[0].base == "a:12");
  // Not seen in a stage that does not declare it.
  CHECK(env("ARG W=2\nENV x=$V y=$W", one) == Texts{"x=", "y=2"});
  CHECK(env("ARG V\nENV x=$V", one) == Texts{"x=given"});
  CHECK(env("ARG V=own\nENV x=$V") == Texts{"x=own"});
  CHECK(env("ENV x=$V\nARG V=own") == Texts{"x="});
  const auto last_env = [](std::string_view text, const BuildArgs& args = {}) {
    return evaluated(text, args).scope.defaults.env.back();
  };
  CHECK(last_env("ARG V=1\nFROM x\nARG V\nENV v=$V") == "v=1");
  CHECK(last_env("ARG V=1\nFROM x\nARG V=2\nENV v=$V") == "v=2");
  CHECK(last_env("ARG V=1\nFROM x\nENV v=$V") == "v=");
  CHECK(last_env("FROM x AS a\nARG V=1\nFROM a\nENV v=$V") == "v=1");
  CHECK(last_env("FROM x AS a\nARG V=1\nFROM x\nENV v=$V") == "v=");
  // ENV goes before ARG.
  CHECK(last_env("FROM x\nENV V=env\nARG V=arg\nENV v=$V") == "v=env");
  CHECK(last_env("FROM x\nARG TARGETARCH\nENV v=$TARGETARCH") == "v=amd64");
  CHECK(parsed("FROM x\nARG A", {{"A", "1"}, {"B", "2"}}).unused == Texts{"B"});
  const auto run = last<RunStep>("FROM x\nARG A=1\nENV B=2\nENV A=3\nARG C\nRUN y");
  CHECK(run.environment.at("A") == "3");
  CHECK(run.environment.at("B") == "2");
  CHECK_FALSE(run.environment.contains("C"));
}

TEST_CASE("RUN: shell and list, network, secrets, folders that stay out") {
  CHECK(last<RunStep>("FROM x\nRUN echo $HOME 'a'").arguments ==
        Texts{"/bin/sh", "-c", "echo $HOME 'a'"});
  CHECK(last<RunStep>("FROM x\nRUN [\"echo\", \"$HOME\"]").arguments == Texts{"echo", "$HOME"});
  CHECK(last<RunStep>("FROM x\nRUN [ -f /x ] && y").arguments.back() == "[ -f /x ] && y");
  CHECK(last<RunStep>("FROM x\nSHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\nRUN a | b")
            .arguments == Texts{"/bin/bash", "-o", "pipefail", "-c", "a | b"});
  const auto step = last<RunStep>("FROM x\nUSER me\nWORKDIR /w\n"
                                  "RUN --network=none --mount=type=secret,id=token,required "
                                  "--mount=type=secret,id=a,target=/b "
                                  "--mount=type=cache,target=/root/.cache/pip,sharing=locked "
                                  "--mount=type=tmpfs,dst=t make all\n");
  CHECK_FALSE(step.network);
  CHECK(step.user == "me");
  CHECK(step.workdir == "/w");
  CHECK(step.secrets ==
        std::vector<SecretMount>{{"token", "/run/secrets/token", true}, {"a", "/b", false}});
  CHECK(step.scratch_folders == Texts{"/root/.cache/pip", "/w/t"});
  CHECK(step.arguments.back() == "make all");
  CHECK(last<RunStep>("FROM x\nRUN --network=default a").network);
}

TEST_CASE("RUN with heredocs: scripts, and what is left to the shell") {
  CHECK(last<RunStep>("FROM x\nRUN <<EOF\nset -e\n# no comment\n\\\necho $x\nEOF\n").arguments ==
        Texts{"/bin/sh", "-c", "set -e\n# no comment\n\\\necho $x\n"});
  const auto script =
      last<RunStep>("FROM x\nRUN <<-PY\n\t#!/usr/bin/env python3\n\tprint(1)\n\tPY\n");
  CHECK(script.arguments == Texts{"/dev/pipes/PY"});
  CHECK(script.script == "#!/usr/bin/env python3\nprint(1)\n");
  CHECK(last<RunStep>("FROM x\nRUN cat <<A <<'B C' > /x\n1\nA\n2\nB C\n").arguments.back() ==
        "cat <<A <<'B C' > /x\n1\nA\n2\nB C");
  CHECK(last<RunStep>("FROM x\nRUN cat <<< text").arguments.back() == "cat <<< text");
  CHECK(error_of("FROM x\nRUN <<EOF\na\n") ==
        "Dockerfile:2: the heredoc 'EOF' is not closed (its last line is 'EOF' alone)");
}

TEST_CASE("COPY: sources, target, owner, mode") {
  auto step = last<CopyStep>("FROM x\nWORKDIR /app\nCOPY a ./b/../c* /d/e/ out/");
  CHECK(step.sources == Texts{"a", "c*", "d/e"});
  CHECK(step.target == "/app/out/");
  CHECK_FALSE(step.unpack);
  CHECK_FALSE(step.chown);
  step = last<CopyStep>("FROM x\nARG U=1000\nCOPY --chown=$U:users --chmod=0644 --link . .");
  CHECK(step.sources == Texts{"."});
  CHECK(step.target == "/");
  CHECK(step.chown == "1000:users");
  CHECK(step.chmod == 0644u);
  step = last<CopyStep>("FROM x\nENV e=1\nCOPY [\"a b\", \"c$e\", \"/t/\"]");
  CHECK(step.sources == Texts{"a b", "c1"});
  CHECK(last<CopyStep>("FROM x\nCOPY a\\ b \"c d\" /t/").sources == Texts{"a b", "c d"});
  CHECK(last<CopyStep>("FROM x AS s\nFROM y\nCOPY --from=s /a /b").from_stage == 0u);
  CHECK(last<CopyStep>("FROM y\nCOPY --from=img:1 ../a /b").from_image == "img:1");
  CHECK(last<CopyStep>("FROM y\nCOPY --from=img:1 ../a /b").sources == Texts{"a"});
  CHECK(last<CopyStep>("FROM x\nADD model.tar.gz /models").unpack);
  const auto inline_files = last<CopyStep>("FROM x\nENV n=5\nCOPY <<a.txt <<\"b.txt\" c /t/\n"
                                           "n is $n \\$n \"q\"\na.txt\nn is $n\nb.txt\n");
  CHECK(inline_files.files ==
        std::vector<InlineFile>{{"a.txt", "n is 5 $n \"q\"\n"}, {"b.txt", "n is $n\n"}});
  CHECK(inline_files.sources == Texts{"c"});
}

TEST_CASE("the defaults of a container follow Docker's rules") {
  Defaults base;
  base.cmd = {"bash"};
  base.entrypoint = {"/init"};
  CHECK(defaults("ENTRYPOINT [\"a\"]", base).cmd.empty());
  CHECK(defaults("CMD [\"b\"]\nENTRYPOINT a", base).cmd == Texts{"b"});
  CHECK(defaults("CMD b", base).entrypoint == Texts{"/init"});
  CHECK(defaults("ENTRYPOINT []", base).entrypoint.empty());
  CHECK(defaults("ENTRYPOINT exec top -b").entrypoint == Texts{"/bin/sh", "-c", "exec top -b"});
  CHECK(defaults("SHELL [\"bash\", \"-c\"]\nCMD $x").cmd == Texts{"bash", "-c", "$x"});
  CHECK(defaults("WORKDIR /a\nWORKDIR b\nWORKDIR ../c/").workdir == "/a/c");
  CHECK(defaults("ENV D=/d\nWORKDIR $D/$none").workdir == "/d");
  CHECK(defaults("USER 1000:1000").user == "1000:1000");
  CHECK(defaults("ENV P=\"90 91\"\nEXPOSE 80 53/udp 8000-8002 $P").exposed_ports ==
        Texts{"53/udp", "80/tcp", "8000/tcp", "8001/tcp", "8002/tcp", "90/tcp", "91/tcp"});
  CHECK(defaults("VOLUME /b /a\nVOLUME [\"/c d\"]").volumes == Texts{"/a", "/b", "/c d"});
  CHECK(defaults("STOPSIGNAL SIGINT").stop_signal == "SIGINT");
  const auto health = defaults("HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=0.5h "
                               "--start-interval=2s --retries=4 CMD curl -f localhost || exit 1")
                          .health_check;
  REQUIRE(health);
  CHECK(health->test == Texts{"CMD-SHELL", "curl -f localhost || exit 1"});
  CHECK(health->interval == 90'000'000'000);
  CHECK(health->timeout == 500'000'000);
  CHECK(health->start_period == 1'800'000'000'000);
  CHECK(health->start_interval == 2'000'000'000);
  CHECK(health->retries == 4);
  CHECK(defaults("HEALTHCHECK CMD [\"a\", \"b\"]").health_check->test == Texts{"CMD", "a", "b"});
  CHECK(defaults("healthcheck none").health_check->test == Texts{"NONE"});
}

TEST_CASE("a step's text is the instruction as it was written") {
  const StageSteps stage = evaluated("FROM x\nARG T=secret\nRUN  --network=none a \\\n  $T\n"
                                     "COPY <<F /f\nhi\nF\n");
  CHECK(stage.steps[0].text == "ARG T=secret");
  CHECK(stage.steps[1].text == "RUN --network=none a   $T");
  CHECK(stage.steps[1].line == 3);
  CHECK(stage.steps[2].text == "COPY <<F /f\nhi\nF");
}

TEST_CASE("what is wrong in a Dockerfile is said with its line and what to do") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "'Dockerfile' has no FROM (begin it with a base image: FROM debian:bookworm, or FROM "
           "scratch)"},
      {"RNU x", "Dockerfile:1: 'RNU' is no instruction (did you mean 'RUN'?)"},
      {"FROM x\n\nCOPPY a b", "Dockerfile:3: 'COPPY' is no instruction (did you mean 'COPY'?)"},
      {"RUN x\nFROM y", "Dockerfile:1: RUN stands before the first FROM (only ARG may)"},
      {"FROM", "Dockerfile:1: FROM has nothing after it"},
      {"FROM a b", "Dockerfile:1: FROM takes an image, or an image and AS with a name (FROM "
                   "debian:bookworm AS build)"},
      {"FROM $none", "Dockerfile:1: the base '$none' is empty when its variables are replaced (an "
                     "ARG before the first FROM gives them a value)"},
      {"FROM a AS 1x", "Dockerfile:1: '1x' cannot be the name of a stage (a letter, then letters, "
                       "digits, '-', '_' and '.')"},
      {"FROM a AS b\nFROM c AS B", "Dockerfile:2: there are two stages 'b'"},
      {"FROM --platform=linux/arm64 a", "Dockerfile:1: the platform 'linux/arm64' is not that of "
                                        "this machine, linux/amd64 (build on "
                                        "a machine of that kind)"},
      {"FROM --platfrom=linux/amd64 a", "Dockerfile:1: FROM has no flag '--platfrom' that is built "
                                        "(did you mean 'platform'?)"},
      {"FROM a\nMAINTAINER me",
       "Dockerfile:2: MAINTAINER is no longer an instruction (write it as a "
       "label: LABEL org.opencontainers.image.authors=\"...\")"},
      {"FROM a\nONBUILD RUN x",
       "Dockerfile:2: ONBUILD is not built: an OCI image has no place for it (put the instruction "
       "into the Dockerfile of the image that is based on this one)"},
      {"FROM a\nRUN --mount=type=bind,target=/x y",
       "Dockerfile:2: mounts of type bind are not built (COPY the files, and remove them in the "
       "step "
       "that used them)"},
      {"FROM a\nRUN --mount=type=ssh y", "Dockerfile:2: mounts of type ssh are not built (give the "
                                         "step a key by --mount=type=secret)"},
      {"FROM a\nRUN --mount=type=secrets,id=x y",
       "Dockerfile:2: 'secrets' is no type of mount that is built (did you mean 'secret'?)"},
      {"FROM a\nRUN --mount=type=secret,id=x,env=Y y",
       "Dockerfile:2: a mount of type secret takes no 'env' here (it takes id, target and "
       "required)"},
      {"FROM a\nRUN --network=lan y",
       "Dockerfile:2: '--network=lan' is not known (it is default, host or none)"},
      {"FROM a\nRUN --security=insecure y",
       "Dockerfile:2: RUN has no flag '--security' that is built (known flags: mount, network)"},
      {"FROM a\nRUN [\"a\", 1]", "Dockerfile:2: the list of RUN has something other than texts"},
      {"FROM a\nSHELL bash -c", "Dockerfile:2: SHELL takes a JSON array of texts (SHELL "
                                "[\"/bin/bash\", \"-c\"])"},
      {"FROM a\nCOPY x", "Dockerfile:2: COPY needs a source and a target"},
      {"FROM a\nCOPY x y /z", "Dockerfile:2: '/z' has to be a folder, as it takes more than one "
                              "source (end it with '/')"},
      {"FROM a\nCOPY ../x /z", "Dockerfile:2: '../x' is outside of the build's context (paths are "
                               "relative to the context's folder)"},
      {"FROM a\nCOPY --chmod=u+x x /z",
       "Dockerfile:2: '--chmod=u+x' is no mode (write it in octal: 755)"},
      {"FROM a\nCOPY --from=0 x /z", "Dockerfile:2: '--from=0' is no earlier stage"},
      {"FROM a AS s\nCOPY --from=s x /z", "Dockerfile:2: a stage cannot copy from itself: 's'"},
      {"FROM a\nCOPY --from=$s x /z",
       "Dockerfile:2: '--from' takes no variables (name a stage: FROM "
       "${IMAGE} AS source, and COPY --from=source)"},
      {"FROM a\nCOPY --parents x /z", "Dockerfile:2: COPY has no flag '--parents' that is built "
                                      "(known flags: from, chown, chmod, link)"},
      {"FROM a\nADD https://example.com/x.tar /z",
       "Dockerfile:2: ADD of 'https://example.com/x.tar' is not built: what it brings is not known "
       "beforehand (fetch it in a RUN step that checks its digest, or COPY a file)"},
      {"FROM a\nEXPOSE 80/http", "Dockerfile:2: 'http' is no protocol of a port (known protocols: "
                                 "tcp, udp, sctp)"},
      {"FROM a\nEXPOSE 70000", "Dockerfile:2: '70000' is no port (8080, 8080/udp or 8000-8010)"},
      {"FROM a\nHEALTHCHECK --interval=3 CMD x",
       "Dockerfile:2: '--interval=3' is no duration of at least 1ms (30s, 1m30s or 500ms)"},
      {"FROM a\nHEALTHCHECK RUN x",
       "Dockerfile:2: HEALTHCHECK has no 'RUN' (HEALTHCHECK CMD COMMAND, or HEALTHCHECK NONE)"},
      {"FROM a\nSTOPSIGNAL sig term", "Dockerfile:2: 'sig term' is no signal (SIGTERM, or 15)"},
      {"FROM a\nUSER $none", "Dockerfile:2: USER is empty when its variables are replaced"},
      {"FROM a\nCMD --x y", "Dockerfile:2: CMD has no flag '--x'"},
  };
  for (const auto& [text, message] : cases) {
    CAPTURE(text);
    CHECK(error_of(text) == message);
  }
}

TEST_CASE("a Dockerfile beyond the limits is refused") {
  CHECK(error_of(std::string(max_dockerfile_bytes + 1, '\n')) ==
        "'Dockerfile' is larger than 1.0 MiB");
  std::string many = "FROM x\n";
  for (std::size_t i = 0; i < max_dockerfile_instructions; ++i)
    many += "RUN a\n";
  CHECK(error_of(many) == "Dockerfile:2049: there are more than 2048 instructions");
  std::string doubling = "FROM x\nENV a=0123456789\n";
  for (int i = 0; i < 40; ++i)
    doubling += "ENV a=$a$a\n";
  CHECK(error_of(doubling) == "Dockerfile:16: a value is of more than 128.0 KiB");
  std::string deep = "FROM x\nENV a=";
  for (int i = 0; i < 1000; ++i)
    deep += "${b:-";
  CHECK(error_of(deep) == "Dockerfile:2: variables are in each other more than 16 deep");
  CHECK(error_of(std::string("FROM x\nRUN a\0b", 14)) == "'Dockerfile' is no text in UTF-8");
  CHECK(error_of("FROM x\nRUN \xff") == "'Dockerfile' is no text in UTF-8");
}
