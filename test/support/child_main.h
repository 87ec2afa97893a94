// The main function of test programs whose tests start child processes: a child runs this same
// program again, so its arguments are looked at before GoogleTest sees them.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <initializer_list>

namespace msearch::test {

// A child that is started with {"role", name}.
struct ChildRole {
  const char* name;
  int (*run)();
};

inline int Main(int argc, char** argv, std::initializer_list<ChildRole> roles) {
  if (argc >= 3 && std::strcmp(argv[1], "role") == 0) {
    for (const ChildRole& role : roles) {
      if (std::strcmp(argv[2], role.name) == 0) return role.run();
    }
    return 2;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

}  // namespace msearch::test
