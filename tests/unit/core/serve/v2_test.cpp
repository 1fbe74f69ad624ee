// Requests and answers of the Open Inference Protocol as JSON.
#include "core/base/error.hpp"
#include "core/model/half.hpp"
#include "core/serve/v2.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

using namespace mlp;
using namespace mlp::serve;
using model::DataType;

namespace {

InferRequest parse(std::string body) {
  InferRequestParser parser;
  return parser.parse(body);
}

model::Tensor parse_input(std::string_view type, std::string_view shape, std::string_view data) {
  auto request =
      parse("{\"inputs\":[{\"name\":\"x\",\"datatype\":\"" + std::string(type) +
            "\",\"shape\":" + std::string(shape) + ",\"data\":" + std::string(data) + "}]}");
  return std::move(request.inputs.at(0).tensor);
}

std::string error_of(std::string body) {
  try {
    (void)parse(std::move(body));
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::usage);
    return error.message();
  }
  return "no error";
}

std::string input_error(std::string_view type, std::string_view shape, std::string_view data) {
  try {
    (void)parse_input(type, shape, data);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::usage);
    return error.message();
  }
  return "no error";
}

template <class T>
std::vector<T> values(const model::Tensor& tensor) {
  const auto all = tensor.as<T>();
  return {all.begin(), all.end()};
}

} // namespace

TEST_CASE("a V2 request becomes tensors, whatever the order of its members") {
  const auto request =
      parse(R"({"outputs":[{"name":"y","parameters":{"a":1}}],"id":"42","parameters":{"k":true},
        "inputs":[{"data":[[1,2],[3,4.5]],"shape":[2,2],"datatype":"FP32","name":"x"},
                  {"name":"who","datatype":"BYTES","shape":[2],"data":["ada \u00e9","b\n"],"new":{}}],
        "unknown":[1,{"a":2}]})");
  CHECK(request.id == "42");
  CHECK(request.outputs == std::vector<std::string>{"y"});
  REQUIRE(request.inputs.size() == 2);
  CHECK(request.inputs[0].name == "x");
  CHECK(request.inputs[0].tensor.shape == model::Shape{2, 2});
  CHECK(values<float>(request.inputs[0].tensor) == std::vector<float>{1, 2, 3, 4.5f});
  CHECK(request.inputs[1].tensor.strings == std::vector<std::string>{"ada \u00e9", "b\n"});
}

TEST_CASE("data may be flat or nested exactly as its shape") {
  const std::vector<std::int64_t> wanted = {1, 2, 3, 4, 5, 6};
  CHECK(values<std::int64_t>(parse_input("INT64", "[3,2]", "[1,2,3,4,5,6]")) == wanted);
  CHECK(values<std::int64_t>(parse_input("INT64", "[3,2]", "[[1,2],[3,4],[5,6]]")) == wanted);
  CHECK(values<std::int64_t>(parse_input("INT64", "[1,3,2]", "[[[1,2],[3,4],[5,6]]]")) == wanted);
  CHECK(parse_input("INT64", "[]", "[7]").size() == 1);
  CHECK(parse_input("INT64", "[0,2]", "[]").size() == 0);
  CHECK(input_error("INT64", "[2,3]", "[[1,2],[3,4],[5,6]]") ==
        "the nested data of input 'x' is not of its shape [2, 3]");
  CHECK(input_error("INT64", "[2,2]", "[[1,2],3]") ==
        "the nested data of input 'x' is not of its shape [2, 2]");
  CHECK(input_error("INT64", "[2,2]", "[[1,2],[3]]") ==
        "the nested data of input 'x' is not of its shape [2, 2]");
  CHECK(input_error("INT64", "[2,2]", "[1,2,[3],4]") ==
        "input 'x': element 2 of its data is an array, which is no INT64");
  CHECK(input_error("INT64", "[4]", "[1,2,3]") ==
        "input 'x' has 3 elements of data, but its shape [4] needs 4");
  CHECK(input_error("INT64", "[2]", "[1,2,3]") ==
        "input 'x' has 3 elements of data, but its shape [2] needs 2");
}

TEST_CASE("a number that its type cannot hold is refused, never wrapped") {
  CHECK(values<std::uint8_t>(parse_input("UINT8", "[3]", "[0,255,1.0]")) ==
        std::vector<std::uint8_t>{0, 255, 1});
  CHECK(values<std::uint64_t>(parse_input("UINT64", "[1]", "[18446744073709551615]")) ==
        std::vector<std::uint64_t>{UINT64_MAX});
  CHECK(values<std::int64_t>(parse_input("INT64", "[1]", "[-9223372036854775808]")) ==
        std::vector<std::int64_t>{INT64_MIN});
  CHECK(input_error("UINT8", "[1]", "[256]") ==
        "input 'x': element 0 of its data is 256, which is no UINT8");
  CHECK(input_error("UINT32", "[2]", "[0,-1]") ==
        "input 'x': element 1 of its data is -1, which is no UINT32");
  CHECK(input_error("INT8", "[1]", "[-129]") ==
        "input 'x': element 0 of its data is -129, which is no INT8");
  CHECK(input_error("INT64", "[1]", "[9223372036854775808]") ==
        "input 'x': element 0 of its data is 9223372036854775808, which is no INT64");
  CHECK(input_error("INT32", "[1]", "[1.5]") ==
        "input 'x': element 0 of its data is 1.5, which is no INT32");
  CHECK(input_error("INT32", "[1]", "[null]") ==
        "input 'x': element 0 of its data is null, which is no INT32");
  CHECK(input_error("FP32", "[1]", "[1e39]") ==
        "input 'x': element 0 of its data is 1e+39, which is no FP32");
  CHECK(input_error("FP16", "[1]", "[70000]") ==
        "input 'x': element 0 of its data is 70000, which is no FP16");
  CHECK(input_error("FP32", "[1]", "[true]") ==
        "input 'x': element 0 of its data is true, which is no FP32");
  CHECK(input_error("BYTES", "[1]", "[1]") ==
        "input 'x': element 0 of its data is 1, which is no BYTES");
  CHECK(input_error("BOOL", "[1]", "[2]") ==
        "input 'x': element 0 of its data is 2, which is no BOOL");
}

TEST_CASE("null is a blank in floating point data, and the infinities have names") {
  const auto tensor = parse_input("FP64", "[5]", R"([null,"NaN","Infinity","-Infinity",-0.5])");
  const auto v = values<double>(tensor);
  CHECK(std::isnan(v[0]));
  CHECK(std::isnan(v[1]));
  CHECK(v[2] == std::numeric_limits<double>::infinity());
  CHECK(v[3] == -std::numeric_limits<double>::infinity());
  CHECK(v[4] == -0.5);
  CHECK(values<std::uint16_t>(parse_input("FP16", "[2]", "[1.5,-2]")) ==
        std::vector<std::uint16_t>{0x3e00, 0xc000});
  CHECK(values<std::uint16_t>(parse_input("BF16", "[1]", "[1.5]")) ==
        std::vector<std::uint16_t>{0x3fc0});
  CHECK(values<bool>(parse_input("BOOL", "[4]", "[true,false,1,0]")) ==
        std::vector<bool>{true, false, true, false});
}

TEST_CASE("a request that is no request says what is wrong with it") {
  CHECK(error_of("") == "the request has no body");
  CHECK(error_of(" \n") == "the request has no body");
  CHECK(error_of("{\"inputs\":[") == "the request is not valid JSON");
  CHECK(error_of("{\"inputs\":[]} x") == "the request is not valid JSON");
  CHECK(error_of("{\"inputs\":\"\xff\"}") == "the request is not valid JSON");
  CHECK(error_of("[]") == "the request is an array, not an object");
  CHECK(error_of("{}") == "the request has no 'inputs'");
  CHECK(error_of(R"({"inputs":{}})") == "'inputs' of the request is an object, not an array");
  CHECK(error_of(R"({"inputs":[1]})") == "input 0 is a number, not an object");
  CHECK(error_of(R"({"inputs":[],"inputs":[]})") == "the request has 'inputs' twice");
  CHECK(error_of(R"({"inputs":[{}]})") == "input 0 has no 'name'");
  CHECK(error_of(R"({"inputs":[{"name":1}]})") == "'name' of input 0 is a number, not a string");
  CHECK(error_of(R"({"inputs":[{"name":"x"}]})") == "input 'x' has no 'datatype'");
  CHECK(error_of(R"({"id":1,"inputs":[]})") == "'id' of the request is a number, not a string");
  CHECK(error_of(R"({"parameters":[],"inputs":[]})") ==
        "'parameters' of the request is an array, not an object");
  CHECK(error_of(R"({"inputs":[{"name":"x","datatype":"FLOAT","shape":[1],"data":[1]}]})") ==
        "'datatype' of input 'x' is 'FLOAT', which is not one of the protocol's");
  CHECK(error_of(R"({"inputs":[{"name":"x","datatype":"FP32","shape":1,"data":[1]}]})") ==
        "'shape' of input 'x' is a number, not an array");
  CHECK(error_of(R"({"inputs":[{"name":"x","datatype":"FP32","shape":[-1],"data":[1]}]})") ==
        "'shape' of input 'x' has -1, which is no size of a dimension");
  CHECK(error_of(R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":1}]})") ==
        "'data' of input 'x' is a number, not an array");
  CHECK(error_of(R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1],
    "parameters":{"binary_data_size":4}}]})") ==
        "input 'x' has binary tensor data, which is not supported");
  // A terminal escape in a name does not reach a terminal.
  CHECK(error_of(R"({"inputs":[{"name":"\u001b[31m"}]})").find('\x1b') == std::string::npos);
}

TEST_CASE("a shape that promises more than the request holds allocates nothing") {
  CHECK(input_error("FP64", "[4000000000,4000000000]", "[1]") ==
        "the shape [4000000000, 4000000000] of input 'x' needs more data than it has");
  CHECK(input_error("FP64", "[9223372036854775807,9223372036854775807]", "[1]")
            .ends_with("needs more data than it has"));
  CHECK(input_error("BYTES", "[100000000]", "[\"a\"]").ends_with("needs more data than it has"));
  CHECK(input_error("FP32", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]",
                    "[1]") == "'shape' of input 'x' has more than 32 dimensions");
}

TEST_CASE("deep nesting ends in an error, not in a stack overflow") {
  const std::string deep(100000, '[');
  CHECK(error_of(deep).starts_with("the request is n"));
  CHECK(error_of("{\"inputs\":" + std::string(40, '[') + std::string(40, ']') + "}") ==
        "the request is nested deeper than 32 levels");
}

TEST_CASE("a parser is used again after errors and after a large request") {
  InferRequestParser parser;
  for (int round = 0; round < 3; ++round) {
    std::string broken = "{\"inputs\":[{]}";
    CHECK_THROWS_AS(parser.parse(broken), Error);
    std::string large = R"({"inputs":[{"name":"x","datatype":"UINT8","shape":[1000000],"data":[0)";
    for (int i = 1; i < 1000000; ++i)
      large += ",1";
    large += "]}]}";
    CHECK(parser.parse(large).inputs[0].tensor.size() == 1000000);
    std::string small = R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]})";
    CHECK(parser.parse(small).inputs.size() == 1);
  }
}

TEST_CASE("a response is written in the protocol's order and types") {
  model::NamedTensor scores{"p", model::Tensor::make(DataType::float32, {1, 4})};
  auto p = scores.tensor.as<float>();
  p[0] = 0.1f;
  p[1] = 1e-20f;
  p[2] = std::numeric_limits<float>::quiet_NaN();
  p[3] = -std::numeric_limits<float>::infinity();
  model::NamedTensor label{"label", model::Tensor::make(DataType::string, {2})};
  label.tensor.strings = {"a\"b\\\n\x01", "\xc3\xa9\xff"};
  model::NamedTensor flag{"flag", model::Tensor::make(DataType::boolean, {2})};
  flag.tensor.as<bool>()[1] = true;
  model::NamedTensor half{"half", model::Tensor::make(DataType::float16, {1})};
  half.tensor.as<std::uint16_t>()[0] = 0x3e00;
  model::NamedTensor byte{"byte", model::Tensor::make(DataType::uint8, {2})};
  byte.tensor.as<std::uint8_t>()[0] = 200;
  const std::vector<model::NamedTensor> outputs = {scores, label, flag, half, byte};
  std::string text;
  append_infer_response(text, {"digits", "3", "onnx_onnxv1"}, "id\"1", outputs);
  CHECK(text ==
        R"({"model_name":"digits","model_version":"3","id":"id\"1","outputs":[)"
        R"({"name":"p","shape":[1,4],"datatype":"FP32","data":[0.1,1e-20,"NaN","-Infinity"]},)"
        R"({"name":"label","shape":[2],"datatype":"BYTES","data":["a\"b\\\n\u0001",")"
        "\xc3\xa9"
        R"(\ufffd"]},)"
        R"({"name":"flag","shape":[2],"datatype":"BOOL","data":[false,true]},)"
        R"({"name":"half","shape":[1],"datatype":"FP16","data":[1.5]},)"
        R"({"name":"byte","shape":[2],"datatype":"UINT8","data":[200,0]}]})");
}

TEST_CASE("metadata names the tensors, and an open dimension is -1") {
  const model::Signature signature{.inputs = {{"x", DataType::uint8, {-1, 28, 28}}},
                                   .outputs = {{"label", DataType::string, {-1}}}};
  std::string text;
  append_model_metadata(text, {"digits", "3", "onnx_onnxv1"}, signature);
  CHECK(text == R"({"name":"digits","versions":["3"],"platform":"onnx_onnxv1",)"
                R"("inputs":[{"name":"x","datatype":"UINT8","shape":[-1,28,28]}],)"
                R"("outputs":[{"name":"label","datatype":"BYTES","shape":[-1]}]})");
  text.clear();
  append_server_metadata(text, "mlp", "0.1.0");
  CHECK(text == R"({"name":"mlp","version":"0.1.0","extensions":[]})");
}

TEST_CASE("an output that the model lacks is answered with the nearest") {
  const model::Signature signature{.inputs = {}, .outputs = {{"label", DataType::string, {-1}}}};
  const std::vector<std::string> misspelt = {"lable"};
  try {
    check_output_names(signature, misspelt);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.message() == "unknown output 'lable'");
    CHECK(error.hints() == std::vector<std::string>{"did you mean 'label'?"});
  }
  const std::vector<std::string> twice = {"label", "label"};
  CHECK_THROWS_WITH(check_output_names(signature, twice), "output 'label' is asked for twice");
}

TEST_CASE("16-bit floats convert to the nearest, ties to even, and back without change") {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = model::float_from_half(half);
    if (std::isnan(value)) {
      CHECK(std::isnan(model::float_from_half(model::half_from_float(value))));
      continue;
    }
    if (model::half_from_float(value) != half) FAIL("binary16 " << bits);
    const float wide = model::float_from_bfloat16(half);
    if (!std::isnan(wide) && model::bfloat16_from_float(wide) != half) FAIL("bfloat16 " << bits);
  }
  CHECK(model::half_from_float(65519.0f) == 0x7bff);
  CHECK(model::half_from_float(65520.0f) == 0x7c00);
  CHECK(model::half_from_float(1.0f + 0x1p-11f) == 0x3c00); // a tie goes to even
  CHECK(model::half_from_float(1.0f + 3 * 0x1p-11f) == 0x3c02);
  CHECK(model::half_from_float(0x1p-25f) == 0x0000);
  CHECK(model::half_from_float(0x1.8p-25f) == 0x0001);
}
