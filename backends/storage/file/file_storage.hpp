// A folder as a remote: "file:" URLs. An object is a file of its name; it is written to a temporary
// file, synced and renamed. Refs are swapped under a lock file, so that it serves several
// processes, and several machines where the file system honours flock (NFSv4, Lustre with -o flock,
// CephFS).
//
//   <root>/<name>         objects and refs
//   <root>/listing.txt    what there is, for readers over a static web server
//   <root>/.tmp/          what is being written; each file is locked by its writer
//   <root>/.locks/refs    held while a ref is compared and swapped
#pragma once

#include "core/base/fs.hpp"
#include "core/data/storage.hpp"
#include "core/net/url.hpp"

#include <memory>

namespace mlp::storage {

// `url` is "file:relative", "file:/absolute" or "file:///absolute", and may end in "?link=no":
// whole objects are then never shared with local files (data::LinkedObjects). A relative path is
// taken from `base`. Creates nothing: the folder is made by the first write, if the folder above it
// exists. Throws Error(config) for a URL with a host other than "localhost", another query or a
// fragment.
[[nodiscard]] std::unique_ptr<data::Storage> open_file_storage(const net::Url& url,
                                                               const fs::path& base);

} // namespace mlp::storage
