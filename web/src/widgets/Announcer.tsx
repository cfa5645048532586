/** Speaks the texts for screen readers. */

import { useAnnounced } from "../state/announce";

export function Announcer() {
  const { text, turn } = useAnnounced();
  return (
    <p className="unseen" role="status">
      <span key={turn}>{text}</span>
    </p>
  );
}
