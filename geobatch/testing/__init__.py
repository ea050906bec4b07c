"""What tests of geobatch and of programs on top of it need: fakes and contract suites."""
