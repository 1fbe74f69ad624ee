// The one Catch2 main of the conformance suites.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
