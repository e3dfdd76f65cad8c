// The advice of doctor, as each system needs it.

import { describe, expect, test } from "bun:test";
import { howToHear } from "../../../lib/peer/screen/doctor.ts";

describe("howToHear", () => {
  test("names the firewall of each system, and the permission of macOS", () => {
    expect(howToHear("win32")).toContain("Windows Defender Firewall");
    expect(howToHear("darwin")).toContain("Privacy & Security, Local Network");
    expect(howToHear("linux")).toContain("sudo ufw allow 5353/udp");
    expect(howToHear("freebsd")).toBe(howToHear("linux"));
  });
});
