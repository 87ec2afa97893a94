// What the sizes of a film's packets tell of its pictures, without decoding one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace msearch::media {

class PacketSizes {
 public:
  // In the order of the file, which is the one of decoding. What comes after the first two million
  // is not looked at.
  void Add(double time, uint32_t bytes, bool key);

  struct Spikes {
    std::vector<double> times;  // in order
    std::vector<double> sure;   // of these: nothing but a new picture costs that much
    bool large = false;         // one of them is nearly as large as the key frame
  };
  // Packets between two key frames that may hold a new picture, at most `count_max` (the
  // strongest). Only packets that carry the film on are compared with each other: what is shown
  // earlier than something decoded before it is a filling between two pictures, and small whatever
  // it shows.
  Spikes SpikesBetween(double begin, double end, size_t count_max) const;

  // Packets between two key frames that stand out a little, or at which packets begin to cost more
  // or less: at most `count_max`, in order. Some of them are new pictures where there are any.
  std::vector<double> HintsBetween(double begin, double end, size_t count_max) const;

  // How many packets there are between two key frames.
  size_t CountBetween(double begin, double end) const { return Between(begin, end).size(); }

  // The one packet that costs so much more than all others that a new picture must be in it.
  std::optional<double> NewPictureBetween(double begin, double end) const;

  // The time of the largest packet between two key frames, if it is nearly as large as the first.
  std::optional<double> LargeBetween(double begin, double end) const;

  // Whether a new picture between the two key frames would cost clearly more than what stands
  // there: not where noise costs as much as pictures do.
  bool ShowsNewPictures(double begin, double end) const;

  // A second that took more bytes than what comes before and after it, as dissolves do.
  struct Hump {
    double middle = 0;
    double ratio = 0;  // to the median second, before or after
    double top = 0;    // the share of its largest packet
  };
  std::optional<Hump> HumpBetween(double begin, double end) const;

  // Whether so little was spent between the two key frames that the second can't be where the film
  // had got to by itself.
  bool SpentLittleBetween(double begin, double end) const;

  // Times of key frames in between, at most `count_max`, evenly chosen.
  std::vector<double> KeysBetween(double begin, double end, size_t count_max) const;

 private:
  struct Note {
    double time = 0;
    uint32_t bytes = 0;
    bool key = false;
    bool carries_on = false;
  };
  std::vector<Note> Between(double begin, double end) const;  // without what stands at the ends
  // Those that carry the film on between two key frames, and the size of the first key frame.
  std::vector<Note> CarriersBetween(double begin, double end, uint32_t* key_bytes) const;

  std::vector<Note> notes_;
  double latest_ = -1e9;
};

}  // namespace msearch::media
