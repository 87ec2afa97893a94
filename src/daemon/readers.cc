#include "daemon/readers.h"

#include "ingest/ocr_reader.h"
#include "ingest/sounds_reader.h"
#include "ingest/speech_reader.h"

namespace msearch::daemon {
namespace {

constexpr auto kLookEvery = std::chrono::seconds(5);
constexpr char kTextPack[] = "ocr-pp";
constexpr char kSoundsPack[] = "yamnet";

// Empty: turned off.
std::string PackOf(const Settings& settings, const char* key, const char* usual) {
  const std::string pack = settings.Text(key);
  if (pack == "off" || pack == "false") return "";
  return pack == "on" || pack == "true" ? usual : pack;
}

std::string SpeechPack(const Settings& settings) {
  return PackOf(settings, "reading.speech", "whisper-tiny");
}

}  // namespace

std::string TextPack(const Settings& settings) {
  return PackOf(settings, "reading.text", kTextPack);
}

std::string SoundsPack(const Settings& settings) {
  if (SoundsIfPulled(settings)) return kSoundsPack;
  return PackOf(settings, "reading.sounds", kSoundsPack);
}

bool SoundsIfPulled(const Settings& settings) { return settings.Text("reading.sounds") == "auto"; }

ReaderChoice::ReaderChoice(const Settings& settings,
                           std::shared_ptr<const embedding::ModelPacks> packs)
    : packs_(std::move(packs)), languages_(settings.TextList("reading.languages")) {
  if (const std::string pack = SpeechPack(settings); !pack.empty()) {
    choices_.push_back({std::string(ingest::kSpeechReader),
                        pack,
                        embedding::PackPurpose::kSpeech,
                        {"video", "audio"}});
  }
  if (const std::string pack = TextPack(settings); !pack.empty()) {
    choices_.push_back({std::string(ingest::kTextReader),
                        pack,
                        embedding::PackPurpose::kText,
                        {"image", "video", "document"}});
  }
  if (const std::string pack = SoundsPack(settings); !pack.empty()) {
    choices_.push_back({std::string(ingest::kSoundsReader),
                        pack,
                        embedding::PackPurpose::kSounds,
                        {"video", "audio"},
                        SoundsIfPulled(settings)});
  }
}

std::vector<ReaderChoice::Found> ReaderChoice::Look() const {
  const std::lock_guard lock(mutex_);
  const SteadyTime now = std::chrono::steady_clock::now();
  if (found_.size() == choices_.size() && now - looked_at_ < kLookEvery) return found_;
  found_.clear();
  for (const Choice& choice : choices_) {
    found_.push_back({choice, packs_->Key(choice.pack, choice.purpose)});
  }
  looked_at_ = now;
  return found_;
}

std::string ReaderChoice::KeyOf(const Found& found) const {
  return found.choice.purpose == embedding::PackPurpose::kSpeech
             ? ingest::SpeechReaderKey(*found.key, languages_)
             : *found.key;
}

bool ReaderChoice::Has(const std::string& reader, const std::string& key,
                       const std::function<void(const std::string& pack)>& get) const {
  const auto has = [&](const Found& found) { return found.key.ok() && KeyOf(found) == key; };
  for (const Found& found : Look()) {
    if (found.choice.reader != reader) continue;
    if (has(found)) return true;
    if (found.key.ok()) return false;  // of another kind
    get(found.choice.pack);
    return has({found.choice, packs_->Key(found.choice.pack, found.choice.purpose)});
  }
  return false;
}

bool ReaderChoice::HasHere(std::string_view reader) const {
  return std::ranges::any_of(
      Wanted(), [&](const ingest::WantedReader& wanted) { return wanted.spec.name == reader; });
}

std::vector<ingest::WantedReader> ReaderChoice::Wanted() const {
  std::vector<ingest::WantedReader> wanted;
  for (const Found& found : Look()) {
    if (!found.key.ok()) continue;
    ingest::WantedReader reader;
    reader.spec = {found.choice.reader, KeyOf(found), found.choice.types};
    if (found.choice.purpose == embedding::PackPurpose::kText) {
      reader.wants = [](const catalog::Unread& unread) {
        return ingest::MayShowText(unread.type, unread.attributes);
      };
    }
    wanted.push_back(std::move(reader));
  }
  return wanted;
}

std::vector<api::ReaderState> ReaderChoice::States() const {
  std::vector<api::ReaderState> states;
  for (const Found& found : Look()) {
    if (found.choice.if_pulled && !found.key.ok() && found.key.code() == Code::kNotFound) continue;
    states.push_back({found.choice.reader, found.choice.pack,
                      found.key.ok() ? ""
                                     : found.key.message() + "; reading." + found.choice.reader +
                                           ": off turns it off"});
  }
  return states;
}

ingest::Readers MakeReaders(const Settings& settings,
                            std::shared_ptr<const embedding::ModelPacks> packs,
                            const embedding::ModelPacks::LoadOptions& load) {
  const Milliseconds unload_after(settings.Integer("processes.embedding_worker.idle_unload") *
                                  1000);
  ingest::Readers readers;
  if (const std::string pack = SpeechPack(settings); !pack.empty()) {
    readers[std::string(ingest::kSpeechReader)] = ingest::MakeSpeechReader(
        {[packs, pack, load] { return packs->LoadTranscriber(pack, load); }, unload_after,
         settings.TextList("reading.languages")});
  }
  if (const std::string pack = TextPack(settings); !pack.empty()) {
    readers[std::string(ingest::kTextReader)] = ingest::MakeOcrReader(
        {[packs, pack, load] { return packs->LoadTextReader(pack, load); }, unload_after});
  }
  if (const std::string pack = SoundsPack(settings); !pack.empty()) {
    readers[std::string(ingest::kSoundsReader)] = ingest::MakeSoundsReader(
        {[packs, pack, load] { return packs->LoadSoundTagger(pack, load); }, unload_after});
  }
  return readers;
}

}  // namespace msearch::daemon
