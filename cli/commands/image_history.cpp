// `mlp image history`: the steps that an image was made by, the last first.
#include "cli/completers.hpp"
#include "cli/image_facts.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <algorithm>

namespace mlp {

namespace {

void run(Session& session) {
  const ImageFacts facts = image_facts(session, session.arguments().get("IMAGE").value_or(""));
  const std::vector<image::Descriptor>& layers = facts.image.manifest.layers;
  std::vector<Json> rows;
  std::size_t layer = 0;
  const auto add = [&](const image::History& step, bool empty) {
    Json row = json_object({{"created_by", step.created_by}});
    if (!step.created.empty()) row["created"] = step.created;
    if (!step.comment.empty()) row["comment"] = step.comment;
    if (!empty && layer < layers.size()) {
      row["digest"] = layers[layer].digest.text();
      row["bytes"] = layers[layer].size;
      ++layer;
    }
    rows.push_back(std::move(row));
  };
  for (const image::History& step : facts.image.config.history)
    add(step, step.empty_layer);
  while (layer < layers.size()) // history is optional
    add({}, false);
  std::reverse(rows.begin(), rows.end());
  session.output().emit(json_object({{"name", facts.name},
                                     {"digest", facts.image.descriptor.digest.text()},
                                     {"history", Json(rows)}}),
                        TableView{.rows = "history",
                                  .columns = {{"digest", "LAYER", Format::digest},
                                              {"created", "CREATED", Format::age},
                                              {"bytes", "SIZE", Format::bytes},
                                              {"created_by", "CREATED BY"}},
                                  .empty = "the image has no layers and no history"});
}

} // namespace

extern const Command image_history_command;
const Command image_history_command = {
    .path = "image history",
    .summary = "list the layers of an image and what made them",
    .category = Category::images,
    .arguments = {{.name = "IMAGE",
                   .help = "a local image, a registry's, or one in a folder or file",
                   .complete = complete_images}},
    .options = {platform_option(), plain_http_option()},
    .examples = {{"mlp image history digits", "the layers of a local image"}},
    .run = run};

} // namespace mlp
