#include "search/probes.h"

namespace msearch::search {
namespace {

std::vector<index::ViewQuery> ViewsOf(const embedding::Probe& probe) {
  std::vector<index::ViewQuery> views;
  for (const embedding::ProbeView& view : probe.views) {
    index::ViewQuery query;
    query.view = view.view;
    query.vector = view.vector;
    query.transform =
        view.log ? index::ViewQuery::Transform::kLog : index::ViewQuery::Transform::kIdentity;
    query.weight = view.weight;
    query.divide_by_mean = view.divide_by_mean;
    views.push_back(std::move(query));
  }
  return views;
}

}  // namespace

Result<Allowed> MakeAllowed(const catalog::Catalog& catalog, const catalog::Filters& filters) {
  Allowed allowed;
  if (filters.empty()) return allowed;
  allowed.all = false;
  allowed.sorted = TRY(catalog.FilterSegments(filters));
  return allowed;
}

Result<std::vector<index::Match>> RunProbe(const Engine& engine, const embedding::Probe& probe,
                                           const Allowed& allowed, size_t depth) {
  const auto views = ViewsOf(probe);
  if (allowed.all) return engine.index->Search(views, depth);
  return engine.index->SearchAmong(views, depth, allowed.sorted);
}

}  // namespace msearch::search
