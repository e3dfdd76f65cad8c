// The permission that macOS 15 and later ask a person for before a program may use the local network.

/** What a person does to give it, as a clause. */
export const LOCAL_NETWORK = "allow your terminal in System Settings, Privacy & Security, Local Network";
