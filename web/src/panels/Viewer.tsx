export default function Viewer() {
  return null;
}
