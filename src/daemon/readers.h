// Which second looks the settings ask for, with which packs: the same for the controller, which
// orders them, and for the embedding workers, which take them.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/api.h"
#include "daemon/settings.h"
#include "embedding/model_packs.h"
#include "ingest/read.h"
#include "ingest/readings.h"

namespace msearch::daemon {

// Thread-safe.
class ReaderChoice {
 public:
  ReaderChoice(const Settings& settings, std::shared_ptr<const embedding::ModelPacks> packs);

  // Those whose packs are there. Looks at the disk every few seconds only.
  std::vector<ingest::WantedReader> Wanted() const;
  // Whether this one is among them.
  bool HasHere(std::string_view reader) const;
  // Whether results of this reader would be kept under this key here, as a task asks; a pack that
  // isn't here is asked for with `get` first.
  bool Has(const std::string& reader, const std::string& key,
           const std::function<void(const std::string& pack)>& get) const;
  // All that the settings ask for, with what is in the way.
  std::vector<api::ReaderState> States() const;

 private:
  struct Choice {
    std::string reader;
    std::string pack;
    embedding::PackPurpose purpose;
    std::vector<std::string> types;
    bool if_pulled = false;  // nothing is in the way when its pack isn't there
  };
  struct Found {
    Choice choice;
    Result<std::string> key;  // of the pack
  };
  std::vector<Found> Look() const;
  std::string KeyOf(const Found& found) const;  // REQUIRES: found.key.ok()

  const std::shared_ptr<const embedding::ModelPacks> packs_;
  const std::vector<std::string> languages_;
  std::vector<Choice> choices_;
  mutable std::mutex mutex_;
  mutable std::vector<Found> found_;  // by mutex_
  mutable SteadyTime looked_at_{};    // by mutex_
};

// The pack that reads text in pictures; empty: turned off.
std::string TextPack(const Settings& settings);

// The pack that tells what sounds are; empty: turned off.
std::string SoundsPack(const Settings& settings);
// Whether nobody asked for it: it works once it was pulled, and isn't missed before.
bool SoundsIfPulled(const Settings& settings);

// For an embedding worker. Models are loaded when the first task comes.
ingest::Readers MakeReaders(const Settings& settings,
                            std::shared_ptr<const embedding::ModelPacks> packs,
                            const embedding::ModelPacks::LoadOptions& load);

}  // namespace msearch::daemon
