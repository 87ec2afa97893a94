#include "embedding/wordnet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace msearch::embedding {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Writes nouns in WordNet's format, in the order given: {word, more general word's synset}.
class SmallWordNet {
 public:
  // Returns the synset's offset. `generals` are offsets of synsets added before.
  uint32_t Add(const std::string& word, const std::vector<uint32_t>& generals) {
    const auto offset = static_cast<uint32_t>(data_.size());
    char head[64];
    std::snprintf(head, sizeof(head), "%08u 05 n 01 %s 0 %03zu", offset, word.c_str(),
                  generals.size());
    data_ += head;
    for (uint32_t general : generals) {
      std::snprintf(head, sizeof(head), " @ %08u n 0000", general);
      data_ += head;
    }
    data_ += " | a gloss with @ 00000000 n in it\n";
    senses_[word].push_back(offset);
    return offset;
  }

  // `first_sense`: the word's best known synset.
  void Prefer(const std::string& word, uint32_t first_sense) {
    std::vector<uint32_t>& senses = senses_[word];
    std::erase(senses, first_sense);
    senses.insert(senses.begin(), first_sense);
  }

  std::string Index() const {
    std::string out = "  1 a licence line\n";
    for (const auto& [word, senses] : senses_) {
      out += word + " n " + std::to_string(senses.size()) + " 1 @ " +
             std::to_string(senses.size()) + " 0";
      for (uint32_t sense : senses) {
        char offset[16];
        std::snprintf(offset, sizeof(offset), " %08u", sense);
        out += offset;
      }
      out += "  \n";
    }
    return out;
  }
  const std::string& data() const { return data_; }

 private:
  std::string data_ = "  1 a licence line, so that no synset begins at 0\n";
  std::map<std::string, std::vector<uint32_t>> senses_;
};

class WordNetTest : public testing::Test {
 protected:
  WordNetTest() {
    const uint32_t entity = net_.Add("entity", {});
    const uint32_t animal = net_.Add("animal", {entity});
    const uint32_t bird = net_.Add("bird", {animal});
    net_.Add("hen", {bird});
    crane_bird_ = net_.Add("crane", {bird});
    const uint32_t cat = net_.Add("cat", {animal});
    net_.Add("tabby_cat", {cat});
    const uint32_t device = net_.Add("device", {entity});
    net_.Add("bobsled", {device});
    crane_device_ = net_.Add("crane", {device});
    net_.Add("wine_bottle", {device});
  }

  std::vector<std::vector<std::string>> GeneralWords(const std::vector<std::string>& labels) {
    index_ = net_.Index();
    return WordNet::Open(index_, net_.data()).value().GeneralWords(labels);
  }

  SmallWordNet net_;
  std::string index_;
  uint32_t crane_bird_ = 0, crane_device_ = 0;
};

TEST_F(WordNetTest, ClimbsToMoreGeneralWordsButNotToThoseThatSayNothing) {
  const auto words = GeneralWords({"hen", "tabby cat"});
  EXPECT_THAT(words[0], ElementsAre("bird", "animal"));
  EXPECT_THAT(words[1], ElementsAre("cat", "animal"));
}

TEST_F(WordNetTest, TellsSensesApartByTheOrderOfLabels) {
  for (const uint32_t preferred : {crane_bird_, crane_device_}) {
    net_.Prefer("crane", preferred);
    const auto words = GeneralWords({"hen", "crane", "tabby cat", "bobsled", "crane"});
    EXPECT_THAT(words[1], ElementsAre("bird", "animal"));
    EXPECT_THAT(words[4], ElementsAre("device"));
  }
}

TEST_F(WordNetTest, TakesTheBestKnownSenseWhereOrderSaysNothing) {
  net_.Prefer("crane", crane_device_);
  EXPECT_THAT(GeneralWords({"crane"})[0], ElementsAre("device"));
}

TEST_F(WordNetTest, KnowsNothingAboutUnknownLabels) {
  const auto words = GeneralWords({"unheard of", "hen"});
  EXPECT_THAT(words[0], IsEmpty());
  EXPECT_THAT(words[1], ElementsAre("bird", "animal"));
}

TEST_F(WordNetTest, FindsLabelsWrittenOtherwise) {
  const auto words = GeneralWords({"Hens", "wine bottle"});
  EXPECT_THAT(words[0], ElementsAre("bird", "animal"));
  EXPECT_THAT(words[1], ElementsAre("device"));
}

TEST_F(WordNetTest, SurvivesDamage) {
  const std::string index = net_.Index();
  const std::string cut = net_.data().substr(0, net_.data().size() / 2);
  const auto net = WordNet::Open(index, cut);
  ASSERT_TRUE(net.ok());
  EXPECT_EQ(net->GeneralWords({"hen", "crane", "wine bottle"}).size(), 3U);
  EXPECT_EQ(WordNet::Open("nothing\n", cut).code(), Code::kCorrupt);
  const std::string circle = "12345\n00000006 05 n 01 loop 0 001 @ 00000006 n 0000 | gloss\n";
  EXPECT_EQ(WordNet::Open("loop n 1 1 @ 1 0 00000006\n", circle)->GeneralWords({"loop"}).size(),
            1U);
}

}  // namespace
}  // namespace msearch::embedding
