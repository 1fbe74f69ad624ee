// `mlp predict`: a file or standard input through a model, a batch at a time.
#include "cli/completers.hpp"
#include "cli/predictions.hpp"
#include "cli/row_sources.hpp"
#include "cli/serving.hpp"
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/serve/runtime.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace mlp {

namespace {

std::vector<Candidate> complete_formats(Session&) {
  std::vector<Candidate> out;
  for (const std::string& format : row_formats())
    out.push_back({format, ""});
  return out;
}

std::vector<Candidate> complete_outputs(Session&) {
  return {{"csv", "a line of values a row"}, {"jsonl", "a JSON object a row"}};
}

std::unique_ptr<train::ByteSource> open_input(const std::string& file) {
  if (file == "-") {
    const int copy = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) throw system_error(errno, "read", "standard input");
    return train::descriptor_source(copy, "standard input");
  }
  std::error_code code;
  if (fs::is_fifo(file, code)) // <(a command)
    return train::descriptor_source(File::open_read(file).release(), file);
  return train::open_source(file);
}

char delimiter_of(const Arguments& arguments) {
  const std::string text = arguments.get_or("--delimiter", ",");
  if (text == "tab" || text == "\\t") return '\t';
  if (text.size() != 1 || text == "\"" || text == "\n")
    throw Error(ErrorKind::usage, fmt::format("'{}' cannot be a delimiter", printable(text)))
        .with_hint("one character, or 'tab'");
  return text.front();
}

std::size_t rows_of(const std::vector<model::NamedTensor>& inputs) {
  const auto& shape = inputs.front().tensor.shape;
  return shape.empty() ? 1 : static_cast<std::size_t>(shape.front());
}

// With --file there may be no MODEL, and the first word is the file to read.
std::string input_of(const Arguments& arguments) {
  const auto model = arguments.get("MODEL");
  const auto file = arguments.get("FILE");
  if (!arguments.has("--file")) return file.value_or("-");
  if (file)
    throw Error(ErrorKind::usage, "a model and --file are both given, and one is meant")
        .with_hint("with --file MODEL.onnx, the one argument is the file to read");
  return model.value_or("-");
}

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  Output& output = session.output();
  const std::string format = arguments.get_or("--output", "csv");
  if (format != "csv" && format != "jsonl")
    throw Error(ErrorKind::usage, fmt::format("unknown output '{}'", printable(format)))
        .with_hint("csv or jsonl");
  const std::string file = input_of(arguments);
  const ChosenModel chosen = choose_model(session);
  const auto runtime = load_model(session, chosen, serving_threads(session));
  // In a script it would be said again with each file.
  if (const std::string_view reason = runtime->cpu_reason();
      !reason.empty() && (output.options().verbose || ::isatty(STDERR_FILENO) == 1))
    output.status(fmt::format("the model runs on the CPU: {}", reason));
  const model::Signature& signature = runtime->signature();
  if (signature.inputs.empty())
    throw Error(ErrorKind::config, fmt::format("model '{}' takes no input", chosen.name));

  RowSourceOptions options{.format = arguments.get_or("--format", ""),
                           .header = !arguments.has("--no-header"),
                           .delimiter = delimiter_of(arguments)};
  options.on_unused = [&](const std::vector<std::string>& columns) {
    const auto shown = std::min<std::size_t>(columns.size(), 8);
    std::string names = join(std::span(columns).first(shown), ", ");
    if (shown < columns.size()) names += ", ...";
    output.status(fmt::format("not used by the model: {}", printable(names)));
  };
  const auto source = open_rows(open_input(file), signature, std::move(options));
  const PredictionText text(chosen.classes, arguments.has("--all"));
  const std::stop_token stop = session.stop_token();

  const bool json = output.options().json || format == "jsonl";
  bool first = true;
  for (auto inputs = source->next(); !inputs.empty(); inputs = source->next()) {
    throw_if_stopped(stop);
    const std::size_t rows = rows_of(inputs);
    const auto outputs = runtime->infer(inputs, {});
    std::string lines;
    if (first && !json) lines = text.csv_header(outputs) + "\n";
    first = false;
    for (const std::string& line : json ? text.json(outputs, rows) : text.csv(outputs, rows)) {
      if (output.options().json)
        output.emit_line(parse_json(line, "a prediction"), "");
      else
        (lines += line) += '\n';
    }
    if (!lines.empty()) output.emit_line(json_object(), lines);
  }
  if (first) output.status("no rows");
}

} // namespace

extern const Command predict_command;
const Command predict_command = {
    .path = "predict",
    .summary = "print a model's predictions for a file or standard input",
    .category = Category::serving,
    .arguments = {{.name = "MODEL",
                   .help = "a service of mlp.yaml, or NAME, NAME@ALIAS, NAME@VERSION; left out "
                           "with --file",
                   .required = false,
                   .complete = complete_served},
                  {.name = "FILE",
                   .help = "CSV, JSON records, IDX images or a V2 request; default: -, standard "
                           "input",
                   .required = false,
                   .complete = complete_files}},
    .options = {model_file_option(),
                model_name_option(),
                device_option(),
                {.name = "--format",
                 .value = "FORMAT",
                 .help = "csv, json, v2 or idx; default: told by the first bytes",
                 .complete = complete_formats},
                {.name = "--no-header", .help = "the CSV file has no line that names its columns"},
                {.name = "--delimiter",
                 .value = "CHAR",
                 .help = "between the fields of a CSV file, or 'tab'; default: a comma"},
                {.name = "--output",
                 .value = "FORMAT",
                 .help = "csv or jsonl; default: csv",
                 .letter = 'o',
                 .complete = complete_outputs},
                {.name = "--all", .help = "print the probabilities of all classes"}},
    .settings = {"train.threads"},
    .examples = {{"mlp predict digits new.csv", "a label and its probability for each row"},
                 {"mlp predict digits@champion images-idx3-ubyte.gz", "images, by an alias"},
                 {"mlp predict --file model.onnx rows.jsonl --output jsonl",
                  "a model file, without a project"}},
    .run = run};

} // namespace mlp
