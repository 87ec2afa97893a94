#include "embedding/safetensors.h"

#include <cstring>

#include "base/file.h"
#include "base/json.h"

// u64 size of the header (little-endian), the header, the data. The header is JSON: {name:
// {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}}, offsets from the end of the
// header.

namespace msearch::embedding {
namespace {

constexpr uint64_t kFileBytesMax = uint64_t{1} << 30;

std::vector<uint64_t> Numbers(const Json& object, const char* key) {
  std::vector<uint64_t> out;
  const auto it = object.find(key);
  if (it == object.end() || !it->is_array()) return out;
  for (const Json& one : *it) {
    out.push_back(one.is_number_unsigned() ? one.get<uint64_t>() : UINT64_MAX);
  }
  return out;
}

}  // namespace

Result<Matrix> ReadOnlyMatrix(const std::string& path) {
  const Error broken{Code::kCorrupt, path + ": not a safetensors file"};
  const std::string bytes = TRY(ReadFile(path, kFileBytesMax));
  uint64_t header_bytes = 0;
  if (bytes.size() < sizeof(header_bytes)) return broken;
  std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
  if (header_bytes > bytes.size() - sizeof(header_bytes)) return broken;
  const std::string_view data = std::string_view(bytes).substr(sizeof(header_bytes) + header_bytes);
  const Result<Json> header =
      ParseJson(std::string_view(bytes).substr(sizeof(header_bytes), header_bytes));
  if (!header.ok() || !header->is_object()) return broken;

  Matrix matrix;
  for (const auto& [name, tensor] : header->items()) {
    const std::vector<uint64_t> shape = Numbers(tensor, "shape");
    const std::vector<uint64_t> place = Numbers(tensor, "data_offsets");
    if (shape.size() != 2 || GetString(tensor, "dtype") != "F32") continue;
    if (matrix.rows != 0) return Error{Code::kUnsupported, path + ": more than one matrix"};
    if (place.size() != 2 || place[1] > data.size() || place[0] > place[1] || shape[0] == 0 ||
        shape[1] == 0 || shape[0] > data.size() || shape[1] > data.size() ||
        shape[0] * shape[1] * sizeof(float) != place[1] - place[0]) {
      return broken;
    }
    matrix.rows = shape[0];
    matrix.columns = shape[1];
    matrix.values.resize(matrix.rows * matrix.columns);
    std::memcpy(matrix.values.data(), data.data() + place[0], place[1] - place[0]);
  }
  if (matrix.rows == 0) return Error{Code::kUnsupported, path + ": no matrix of float32"};
  return matrix;
}

}  // namespace msearch::embedding
