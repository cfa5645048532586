export default function MaskPainter() {
  return null;
}
