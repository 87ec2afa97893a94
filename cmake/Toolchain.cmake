# Compiler cache, linker, warnings and sanitizers for every target of the project.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g")
if(MSEARCH_SANITIZE)
  # Line numbers are all that a report needs. The assertions of the library see what is out of bounds
  # within an allocation. Checks of alignment double the time of a build, and the fuzzer, which is
  # built with them, knows every parser; what the other two find, addresses show as well.
  set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")
  set(CMAKE_C_FLAGS_DEBUG "-O1 -g1")
  add_compile_options(-fsanitize=${MSEARCH_SANITIZE} -fno-sanitize=alignment,object-size,vptr
                      -fno-omit-frame-pointer)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
  add_link_options(-fsanitize=${MSEARCH_SANITIZE})
endif()
if(MSEARCH_FUZZ)
  # Undefined behaviour ends the program, or a fuzzer would run past it.
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
